package dial

import (
	"context"
	"errors"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
)

// looker is an engine that is looked at.
type looker struct {
	kind     string
	volume   error
	path     error
	lookedAt string
}

func (l *looker) VolumeInspect(context.Context, string) (volume.Volume, error) {
	return volume.Volume{Labels: map[string]string{LabelKind: l.kind}}, l.volume
}

func (l *looker) ContainerStatPath(_ context.Context, box, path string) (container.PathStat, error) {
	l.lookedAt = box + ":" + path
	return container.PathStat{}, l.path
}

func TestAHelperIsAskedForRecordsOnlyIfItMayHaveSome(t *testing.T) {
	const mark = "docker-kasm-helper:/var/lib/docker-kasm/sessions/.some"
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		engine looker
		want   bool
		looked string
		err    error
	}{
		"none":                   {looker{volume: cerrdefs.ErrNotFound}, false, "", nil},
		"no answer":              {looker{volume: bad}, false, "", bad},
		"a service":              {looker{kind: Service}, true, "", nil},
		"one with records":       {looker{kind: Container}, true, mark, nil},
		"one without":            {looker{kind: Container, path: cerrdefs.ErrNotFound}, false, mark, nil},
		"one that is not looked": {looker{kind: Container, path: bad}, false, mark, bad},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := MayRecord(t.Context(), &c.engine)
			if got != c.want || !errors.Is(err, c.err) || c.engine.lookedAt != c.looked {
				t.Errorf("%v %v, looked at %q", got, err, c.engine.lookedAt)
			}
		})
	}
}

package dial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"
)

// fakeEngine runs far as the command in the helper's container.
type fakeEngine struct {
	labels, container map[string]string
	far               func(in io.Reader, out, stderr io.Writer)
	err               error
	ended             chan struct{}
	// inspected counts looks at the container, whose id is another each time, and
	// ran are the containers that commands were run in.
	inspected int
	ran       []string
}

func (e *fakeEngine) VolumeInspect(context.Context, string) (volume.Volume, error) {
	if e.labels == nil {
		return volume.Volume{}, cerrdefs.ErrNotFound
	}
	return volume.Volume{Name: Volume, Labels: e.labels}, nil
}

func (e *fakeEngine) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	if e.container == nil {
		return container.InspectResponse{}, cerrdefs.ErrNotFound
	}
	e.inspected++
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: fmt.Sprint("id", e.inspected)}, Config: &container.Config{Labels: e.container},
	}, nil
}

func (e *fakeEngine) ContainerExecCreate(_ context.Context, id string, o container.ExecOptions) (container.ExecCreateResponse, error) {
	e.ran = append(e.ran, id)
	if o.Tty {
		return container.ExecCreateResponse{}, errors.New("a terminal changes bytes")
	}
	return container.ExecCreateResponse{ID: "x"}, e.err
}

func (e *fakeEngine) ContainerExecAttach(context.Context, string, container.ExecAttachOptions) (types.HijackedResponse, error) {
	l, err := net.Listen("unix", "")
	if err != nil {
		return types.HijackedResponse{}, err
	}
	defer l.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		return types.HijackedResponse{}, err
	}
	far, err := l.Accept()
	if err != nil {
		return types.HijackedResponse{}, err
	}
	ended := make(chan struct{})
	e.ended = ended
	go func() {
		defer close(ended)
		defer far.Close()
		e.far(far, stdcopy.NewStdWriter(far, stdcopy.Stdout), stdcopy.NewStdWriter(far, stdcopy.Stderr))
	}()
	return types.HijackedResponse{Conn: near, Reader: bufio.NewReader(near)}, nil
}

func TestTheEndOfTheInputIsPassedOnAndTheAnswerArrives(t *testing.T) {
	e := &fakeEngine{far: func(in io.Reader, out, _ io.Writer) {
		data, _ := io.ReadAll(in) // to its end
		_, _ = out.Write([]byte(strings.ToUpper(string(data))))
	}}
	conn, err := Exec(t.Context(), e, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "PING" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestWhatTheFarSideComplainsOfIsTheError(t *testing.T) {
	e := &fakeEngine{far: func(_ io.Reader, _, stderr io.Writer) {
		_, _ = stderr.Write([]byte("connect to the helper: no such file\x1b[2J\n"))
	}}
	conn, err := Exec(t.Context(), e, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.ReadAll(conn)
	if err == nil || !strings.Contains(err.Error(), `no such file\u001b[2J`) {
		t.Errorf("%v", err)
	}
}

func TestTheEndOfAConnectionEndsTheFarSide(t *testing.T) {
	e := &fakeEngine{far: func(in io.Reader, _, _ io.Writer) { _, _ = io.Copy(io.Discard, in) }}
	conn, err := Exec(t.Context(), e, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-e.ended
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that is closed can be read")
	}
}

func TestAHelperThatDoesNotRunIsToldApart(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{cerrdefs.ErrNotFound, "helper install"},
		{cerrdefs.ErrConflict, "helper status"},
		{errors.New("authorization denied by plugin"), "denied by plugin"},
	} {
		if _, err := Exec(t.Context(), &fakeEngine{err: c.err}, "x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

func TestTheHelperIsFoundByItsVolume(t *testing.T) {
	service := func(socket string) map[string]string {
		return map[string]string{LabelKind: Service, LabelSocket: socket}
	}
	inContainer := map[string]string{LabelKind: Container}
	for _, c := range []struct {
		labels, container map[string]string
		endpoint, want    string
	}{
		{nil, nil, "unix:///run/docker.sock", "has no helper"},
		{map[string]string{}, nil, "unix:///run/docker.sock", "is in the way"},
		{map[string]string{LabelKind: "other"}, nil, "unix:///run/docker.sock", "is in the way"},
		{inContainer, inContainer, "tcp://h:2376", ""},
		{inContainer, nil, "tcp://h:2376", "has no helper"},
		{inContainer, map[string]string{}, "tcp://h:2376", "is in the way"},
		{service(Socket), nil, "unix:///run/docker.sock", ""},
		{service(Socket), nil, "ssh://me@host", ""},
		{service(Socket), nil, "tcp://h:2376", "which a tcp context does not reach"},
		{service("run/x"), nil, "unix:///run/docker.sock", "no path"},
		{service("/run/../x"), nil, "ssh://me@host", "no path"},
	} {
		way, err := Find(t.Context(), &fakeEngine{labels: c.labels, container: c.container}, c.endpoint)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v by %s: %v", c.labels, c.endpoint, err)
		case c.want == "" && (err != nil || !slices.Contains([]string{Container, Service}, way.Kind)):
			t.Errorf("%v by %s: %+v, %v", c.labels, c.endpoint, way, err)
		}
		if c.labels == nil && !errors.Is(err, ErrNone) {
			t.Errorf("no helper is %v", err)
		}
	}
}

func TestOnlyAContainerThatWasLookedAtIsConnectedTo(t *testing.T) {
	helper := map[string]string{LabelKind: Container}
	e := &fakeEngine{labels: helper, container: helper, far: func(io.Reader, io.Writer, io.Writer) {}}
	way, err := Find(t.Context(), e, "unix:///run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := way.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if !slices.Equal(e.ran, []string{"id1", "id2"}) {
		t.Errorf("commands were run in %v", e.ran)
	}
	e.container = map[string]string{}
	if _, err := way.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "is in the way") || len(e.ran) != 2 {
		t.Errorf("%v, and commands were run in %v", err, e.ran)
	}
}

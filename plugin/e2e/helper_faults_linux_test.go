package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// TestHelperFaults breaks what the helper's snapshots depend on, and holds what is
// left after each round against what must be true whatever happens: the helper
// killed, its engine killed, registries that fail. KASM_TEST_FAULTS is the number
// of rounds in each step that have to meet it.
func TestHelperFaults(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("KASM_TEST_FAULTS"))
	if rounds < 1 {
		t.Skip("run `make test-faults`, or set KASM_TEST_FAULTS to the number of rounds in each step")
	}
	registry := os.Getenv("KASM_TEST_OPEN_REGISTRY")
	if registry == "" {
		t.Skip("no registry to push to: run `make test-faults`")
	}
	f := &faults{suite: newSuite(t), rounds: rounds, registry: registry}
	var err error
	if f.api, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cleanUp("e2efaults") })
	defer func() { t.Logf("rounds and what they violated:\n%s", f.tally.table()) }()
	v := &helped{victim: f.newVictim(t, "e2efaults.helper", 8), took: map[taken]map[snapshot.Step]time.Duration{}}
	removeHelper()
	t.Cleanup(removeHelper)
	v.user.must(t, "helper", "install", "--log-level", "debug")
	v.findFiles(t)
	defer v.hangUp()
	v.user.logIn(t, registry, "kasm", helperPassword)
	t.Run("registry", v.testHelpersRegistry)
	t.Run("kill helper", v.testKillHelper)
	// A step that asks nothing of the engine is not met by the engine's end.
	f.tally.allMet(t, f.containerdStore(t))
	t.Run("kill engine", v.testKillHelpersEngine)
	for _, tr := range v.traces(t, v.user, v.oneTask(t), false) {
		if holds(tr.data, forms(helperPassword)) {
			t.Errorf("the password is in %s", tr.where)
		}
		if !strings.Contains(string(tr.data), tr.known) {
			t.Errorf("%s does not have %q, so that it was not searched", tr.where, tr.known)
		}
	}
}

// oneTask makes a snapshot that nothing happens to.
func (v *helped) oneTask(t *testing.T) string {
	t.Helper()
	v.bring(t, session.Running)
	id := v.user.begin(t, "--push", v.name, v.registry+"/e2efaults-helper-last:v1")
	v.user.finish(t, id, string(task.Done))
	return id
}

// helped is a victim whose snapshots the helper makes.
type helped struct {
	*victim
	// data is the folder that the helper keeps its files in, on this machine, and
	// journal that of its tasks.
	data, journal string
	// conn is the connection to the helper, nil without one.
	conn *helperapi.Client
	// took has how long each step takes.
	took map[taken]map[snapshot.Step]time.Duration
}

// helperPassword is what the helper is given for the registry, which lets everybody
// in. It must be found nowhere.
const helperPassword = "s3cret-of-faults?>"

func (v *helped) task(t *testing.T, id string) task.Task {
	t.Helper()
	got, err := v.helper(t).Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// resulted lists what of a task's result is not so, and of one that is done what
// is missing in it.
func (v *helped) resulted(t *testing.T, got task.Task) []string {
	t.Helper()
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	var r snapshot.Result
	if len(got.Result) > 0 {
		if err := json.Unmarshal(got.Result, &r); err != nil {
			return []string{fmt.Sprintf("the result is not whole: %v", err)}
		}
	}
	if r.ImageID != "" {
		if img, err := v.api.ImageInspect(t.Context(), r.Image); err != nil || img.ID != r.ImageID {
			say("%s was reported as %s and is %s: %v", r.Image, r.ImageID, img.ID, err)
		}
	}
	if got.State == task.Done && (r.ImageID == "" || r.Workspace == "" || r.Digest == "") {
		say("done, and not all is reported: %s", got.Result)
	}
	list, err := workspace.Open(filepath.Join(v.data, "workspaces")).List(t.Context())
	if err != nil {
		say("%v", err)
	}
	if got.State == task.Done && len(list) != 1 || r.ImageID == "" && len(list) > 0 || len(list) > 1 {
		say("workspace %q of image %q was reported, and there are %d: %+v", r.Workspace, r.ImageID, len(list), list)
	}
	if r.Workspace == "" {
		return wrong
	}
	if len(list) != 1 || list[0].Name != r.Workspace || list[0].Image != r.Image {
		say("workspace %s of %s was reported, and there are %+v", r.Workspace, r.Image, list)
		return wrong
	}
	ws := list[0]
	// The digest is in the catalog first.
	if ws.Snapshot.ImageID != r.ImageID || r.Digest != "" && ws.Snapshot.Digest != r.Digest {
		say("workspace %s is of image %s %s, and %s %s was reported", r.Workspace, ws.Snapshot.ImageID, ws.Snapshot.Digest, r.ImageID, r.Digest)
	}
	if d := ws.Snapshot.Digest; d != "" {
		if err := v.pushed(r.Image, d); err != nil {
			say("digest %s is registered: %v", d, err)
		}
	}
	return wrong
}

// files lists what is wrong with the helper's files, and looks for the password in
// them. A file that is being written is looked at again.
func (v *helped) files(t *testing.T) []string {
	t.Helper()
	return v.settle(t, awaited, func(context.Context) (wrong []string) {
		secret := forms(helperPassword)
		err := filepath.WalkDir(v.data, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if holds(data, secret) {
				wrong = append(wrong, "the password is in "+path)
			}
			switch base := filepath.Base(path); {
			case filepath.Ext(base) == ".lock":
			case strings.HasPrefix(base, ".") && base != ".authors.json":
				wrong = append(wrong, path+" is left")
			case filepath.Ext(base) == ".json" && !json.Valid(data):
				wrong = append(wrong, fmt.Sprintf("%s is no JSON: %q", path, data))
			}
			return nil
		})
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		return wrong
	})
}

// helper speaks to the helper, by one connection until hangUp.
func (v *helped) helper(t *testing.T) *helperapi.Client {
	t.Helper()
	if v.conn == nil {
		way, err := dial.Find(t.Context(), v.api, v.api.DaemonHost())
		if err != nil {
			t.Fatal(err)
		}
		v.conn = helperapi.NewClient(way.Dial, "e2e", "test")
	}
	return v.conn
}

func (v *helped) hangUp() {
	if v.conn != nil {
		_ = v.conn.Close() // its other end may be gone
	}
	v.conn = nil
}

// forget removes what a round has made.
func (v *helped) forget(t *testing.T, ref string) {
	t.Helper()
	v.victim.forget(t, ref)
	helper := v.helper(t)
	tasks, err := helper.Tasks(t.Context())
	errs := []error{err}
	for _, one := range tasks {
		if !one.State.Ended() {
			errs = append(errs, helper.CancelTask(t.Context(), one.ID))
			continue
		}
		errs = append(errs, helper.RemoveTask(t.Context(), one.ID))
	}
	list, err := helper.Catalog().List(t.Context())
	errs = append(errs, err)
	for _, ws := range list {
		errs = append(errs, helper.Catalog().Remove(t.Context(), ws.Name, ""))
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("remove what a round has made: %v", err)
	}
}

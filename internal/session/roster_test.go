package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/docker-kasm/docker-kasm/internal/roster"
)

// boxes is an engine with containers.
type boxes struct {
	list   []container.Summary
	images []image.Summary
	err    error
	calls  int
}

func (b *boxes) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	b.calls++
	return b.list, b.err
}

func (b *boxes) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	b.calls++
	return b.images, nil
}

// kept is a roster.
type kept struct {
	atOnce  bool
	mu      sync.Mutex
	asked   []bool
	list    []roster.Record
	err     error
	missing []string
}

// set makes it another one while it may be asked.
func (k *kept) set(err error, list ...roster.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err, k.list = err, list
}

func (k *kept) Records(_ context.Context, answers bool) ([]roster.Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, answers)
	return k.list, k.err
}

func (k *kept) AtOnce() bool { return k.atOnce }

func (k *kept) Missing(_ context.Context, list []roster.Record) {
	for _, r := range list {
		k.missing = append(k.missing, r.Name)
	}
}

func box(id, name string, labels map[string]string) container.Summary {
	return container.Summary{ID: id, Names: []string{"/" + name}, Labels: labels, State: container.StateRunning, Image: "img", ImageID: "sha256:1"}
}

func adoption(id, name, scope string) roster.Record {
	return roster.Record{ID: "aaaaaaaaaaaaaaaa", Kind: roster.Adopted, Name: name, Container: id, Workspace: "w" + scope, User: "ann", Scope: scope, Open: "http://h/"}
}

func machine(id, name string) roster.Record {
	return roster.Record{ID: id, Kind: roster.Server, Name: name, Workspace: "win", Created: time.Unix(100, 0), Address: "rdp://h"}
}

func kinds(list []Session) []string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%s %s %s", s.Name, s.Kind, s.Workspace))
	}
	slices.Sort(out)
	return out
}

func TestRecordsMakeSessions(t *testing.T) {
	api := &boxes{list: []container.Summary{
		box("c1", "plain", nil), box("c2", "db", nil), box("c3", "both", nil),
		box("c4", "own", map[string]string{LabelSession: "0123456789abcdef", LabelName: "own", LabelWorkspace: "x"}),
	}}
	book := &kept{list: []roster.Record{
		adoption("c2", "db", ""), adoption("c3", "both", ScopeEngine), adoption("c3", "both", ""),
		adoption("c4", "own", ""), adoption("gone", "gone", ""), machine("1111111111111111", "win-1"),
	}}
	list, err := List(t.Context(), api, ListOptions{All: true, Roster: book})
	want := []string{"both adopted w", "db adopted w", "own managed x", "win-1 server win"}
	if got := kinds(list); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	if !slices.Equal(book.missing, []string{"gone"}) {
		t.Errorf("missing: %v", book.missing)
	}
	if api.calls != 1 {
		t.Errorf("%d calls", api.calls)
	}
	// What the engine was not asked for is not missing.
	book.missing = nil
	for _, o := range []ListOptions{{Roster: book}, {All: true, Roster: book, Filters: filters.NewArgs(filters.Arg("name", "x"))}} {
		if _, err := List(t.Context(), api, o); err != nil || book.missing != nil {
			t.Errorf("%+v: %v %v", o, book.missing, err)
		}
	}
	for filter, want := range map[string]int{
		"kind=server": 1, "kind=adopted": 2, "state=external": 1, "name=win": 1, "id=1111": 1, "label=x": 0, "workspace=win": 1, "user=ann": 2,
	} {
		key, value, _ := strings.Cut(filter, "=")
		list, err := List(t.Context(), api, ListOptions{All: true, Roster: book, Filters: filters.NewArgs(filters.Arg(key, value))})
		n := 0
		for _, s := range list {
			// This engine heeds no filters of its own.
			if slices.Contains(ownFilters(), key) || s.Kind == Server {
				n++
			}
		}
		if err != nil || n != want {
			t.Errorf("%s: %v %v", filter, kinds(list), err)
		}
	}
}

func TestAnEngineThatDoesNotAnswerHidesNoServer(t *testing.T) {
	api := &boxes{err: errors.New("no engine")}
	book := &kept{list: []roster.Record{adoption("c1", "db", ""), machine("1111111111111111", "win-1")}}
	list, err := List(t.Context(), api, ListOptions{Roster: book})
	if got := kinds(list); !slices.Equal(got, []string{"win-1 server win"}) || err == nil {
		t.Errorf("%v %v", got, err)
	}
	found, err := FindAll(t.Context(), api, []string{"win-1", "db", "1111"}, In(book))
	if err != nil || found[0].Err != nil || found[2].Err != nil {
		t.Fatalf("%+v %v", found, err)
	}
	if err := found[1].Err; err == nil || !strings.Contains(err.Error(), "no engine") || strings.Contains(err.Error(), "no session") {
		t.Errorf("nobody knows whether there is one: %v", err)
	}
	book.list = nil
	if _, err := FindAll(t.Context(), api, []string{"db"}, In(book)); err == nil {
		t.Error("there is nothing to find")
	}
}

func TestAnEngineThatIsFarIsAskedOneAfterTheOther(t *testing.T) {
	api := &boxes{err: errors.New("no engine")}
	for _, atOnce := range []bool{false, true} {
		book := &kept{atOnce: atOnce, list: []roster.Record{machine("1111111111111111", "win-1")}}
		if list, err := List(t.Context(), api, ListOptions{Roster: book}); len(list) != 1 || err == nil {
			t.Errorf("%v %v", list, err)
		}
		// By then it is known that the far one does not answer.
		if !slices.Equal(book.asked, []bool{atOnce}) {
			t.Errorf("at once: %v, asked %v", atOnce, book.asked)
		}
	}
}

func TestRecordsThatCannotBeReadHideNothing(t *testing.T) {
	api := &boxes{list: []container.Summary{box("c2", "db", nil)}}
	book := &kept{list: []roster.Record{adoption("c2", "db", "")}, err: errors.New("bad file")}
	found, err := FindAll(t.Context(), api, []string{"db", "other"}, In(book))
	if err != nil || found[0].Err != nil {
		t.Fatalf("%+v %v", found, err)
	}
	var missing *NotFoundError
	if err := found[1].Err; !errors.As(err, &missing) || !strings.Contains(err.Error(), "bad file") {
		t.Errorf("it may be in that file: %v", err)
	}
	if _, err := List(t.Context(), api, ListOptions{Roster: book}); err == nil {
		t.Error("a list is told of it")
	}
}

func TestPlainContainersAreFoundOnlyIfWanted(t *testing.T) {
	api := &boxes{list: []container.Summary{box("c1", "plain", nil)}}
	if _, err := Find(t.Context(), api, "plain"); err == nil {
		t.Error("it is no session")
	}
	if s, err := Find(t.Context(), api, "plain", AnyContainer()); err != nil || s.Kind != Plain {
		t.Errorf("%+v %v", s, err)
	}
}

func TestANameOfTwoMeansNeither(t *testing.T) {
	api := &boxes{list: []container.Summary{box("c1", "win-1", nil)}}
	book := &kept{list: []roster.Record{machine("1111111111111111", "win-1")}}
	if _, err := Find(t.Context(), api, "win-1", In(book)); err == nil || !strings.Contains(err.Error(), "not unique") {
		t.Error(err)
	}
	if s, err := Find(t.Context(), api, "1111111111111111", In(book)); err != nil || s.Kind != Server {
		t.Errorf("%+v %v", s, err)
	}
}

func TestOnlyViewOpenAndDeleteApplyToServers(t *testing.T) {
	s := OfServer(machine("1111111111111111", "win-1"))
	for _, v := range append(Verbs(), "diff") {
		err := s.Check(v)
		allowed := v == View || v == Open || v == Delete
		if allowed != (err == nil) {
			t.Errorf("%s: %v", v, err)
		} else if err != nil && !strings.Contains(err.Error(), "only applicable to container-based workspaces") {
			t.Errorf("%s: %v", v, err)
		}
	}
	if s.Address() != "rdp://h" || s.Target() != s.SessionID {
		t.Errorf("%s %s", s.Address(), s.Target())
	}
	d, err := Inspect(t.Context(), nil, s, InspectOptions{})
	if err != nil || d.Address != "rdp://h" || !slices.Equal(d.Allowed, []Verb{View, Open, Delete}) {
		t.Errorf("%+v %v", d, err)
	}
}

func TestNoSecretOfKasmsIsKept(t *testing.T) {
	s := Summary(box("c1", "a", map[string]string{labelAgent: "id", "kasm.token": "secret", "other": "1"}))
	if s.Labels["kasm.token"] != Hidden || s.Labels["other"] != "1" || s.SessionID != "id" {
		t.Errorf("%+v", s.Labels)
	}
	given := []string{"KASM_API_JWT=s", "VNC_PW=s", "KASM_USER=ann", "KASM_USER_ID=7", "HARMLESS_BY_NAME=s", "KASM_ID", "TZ="}
	env := environment(given, nil, false)
	hideUnknown(env)
	want := map[string]string{"KASM_API_JWT": Hidden, "VNC_PW": Hidden, "KASM_USER": "ann", "KASM_USER_ID": "7", "HARMLESS_BY_NAME": Hidden, "TZ": ""}
	if !maps.Equal(env, want) || kasmUser(given) != "ann" {
		t.Errorf("%v", env)
	}
}

func TestWorkspacesAreGuessedAfterFiltering(t *testing.T) {
	api := &boxes{list: []container.Summary{box("c1", "hand", map[string]string{labelKasmImage: "true"})}}
	o := ListOptions{
		ByImage: func(image, id string) (string, string) { return "w-" + image + id, "W" },
		Inspect: func(context.Context, string) (container.InspectResponse, error) {
			return container.InspectResponse{Config: &container.Config{Env: []string{"KASM_USER=ann"}}}, nil
		},
	}
	list, err := List(t.Context(), api, o)
	if err != nil || len(list) != 1 || list[0].Workspace != "w-imgsha256:1" || list[0].ByImage != "W" || list[0].User != "ann" {
		t.Errorf("%+v %v", list, err)
	}
	o.Filters = filters.NewArgs(filters.Arg("workspace", "w-imgsha256:1"))
	if list, err := List(t.Context(), api, o); err != nil || len(list) != 0 {
		t.Errorf("a guess is no workspace: %v %v", kinds(list), err)
	}
	o.Filters = filters.NewArgs(filters.Arg("user", "ann"))
	if list, err := List(t.Context(), api, o); err != nil || len(list) != 1 {
		t.Errorf("%v %v", kinds(list), err)
	}
}

func TestAnInheritedAgentLabelIsNone(t *testing.T) {
	api := &boxes{
		list:   []container.Summary{box("c1", "heir", map[string]string{labelAgent: "old"}), box("c2", "new", map[string]string{labelAgent: "new"})},
		images: []image.Summary{{ID: "sha256:1", Labels: map[string]string{labelAgent: "old"}}},
	}
	list, err := List(t.Context(), api, ListOptions{})
	if got := kinds(list); err != nil || !slices.Equal(got, []string{"new agent "}) {
		t.Errorf("%v %v", got, err)
	}
}

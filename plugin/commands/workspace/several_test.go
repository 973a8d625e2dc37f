package workspace

import (
	"errors"
	"testing"

	"github.com/docker-kasm/docker-kasm/plugin/commands/contexts"
)

func TestABadFileOfTheUserIsReportedOnce(t *testing.T) {
	answer := func(context string, errs ...error) contexts.Answer[launcher] {
		return contexts.Answer[launcher]{Context: &contexts.Context{Name: context}, Result: launcher{badFiles: errors.Join(errs...)}}
	}
	user, engine := errors.New("a.toml:1:1: bad"), errors.New("of the engine: b.toml:1:1: bad")
	silent := contexts.Answer[launcher]{Context: &contexts.Context{Name: "silent"}, Err: errors.New("no answer")}
	got := badFiles([]contexts.Answer[launcher]{answer("one", user), silent, answer("two", errors.Join(user, engine))})
	if want := user.Error() + "\ncontext \"two\": " + engine.Error(); got == nil || got.Error() != want {
		t.Errorf("got %v, not %s", got, want)
	}
	if err := badFiles([]contexts.Answer[launcher]{answer("one"), silent}); err != nil {
		t.Errorf("no bad file: %v", err)
	}
}

package task

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	burnt "github.com/BurntSushi/toml"
	"github.com/pelletier/go-toml/v2"
)

func TestSecretsShowThemselvesToNobody(t *testing.T) {
	const value = "hunter2"
	type login struct{ User, Password string }
	secret := Hide(login{"me", value})
	text := Hide(value)
	type inner struct{ secret Secret[string] }
	values := map[string]any{
		"plain": text, "struct": secret, "pointer": &secret, "any": Hide[any](value), "bytes": Hide([]byte(value)),
		"exported field": struct{ S Secret[string] }{text}, "unexported field": inner{text}, "deep": &struct{ i *inner }{&inner{text}},
		"slice": []Secret[string]{text}, "map": map[string]Secret[string]{"k": text}, "spec": Spec{Kind: "pull", Secrets: Hide[any](value)},
	}
	see := func(how, name, text string) {
		t.Helper()
		if strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) || strings.Contains(text, fmt.Sprintf("%X", value)) ||
			strings.Contains(text, fmt.Sprintf("%d", []byte(value))) || strings.Contains(text, "104 117") {
			t.Errorf("%s, %s: %s", name, how, text)
		}
	}
	for name, v := range values {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"", "#", "+", "-", " ", "0", "40.3", "#+", "% "} {
				see("verb", name, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		see("Println", name, fmt.Sprintln(v))
		see("Errorf", name, fmt.Errorf("x: %w", errors.New(fmt.Sprint(v))).Error())
		for how, marshal := range map[string]func(any) ([]byte, error){
			"json": json.Marshal, "xml": xml.Marshal, "toml": toml.Marshal, "the other toml": burnt.Marshal,
		} {
			data, err := marshal(v)
			see(how, name, string(data)+fmt.Sprint(err))
		}
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Info("x", "v", v, slog.Any("w", v), slog.Group("g", "v", v))
		}
		see("slog", name, out.String())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, text); got != redacted {
			t.Errorf("%s gives %s", verb, got)
		}
	}
	if got := text.String() + text.GoString(); got != redacted+redacted {
		t.Errorf("its strings are %s", got)
	}
	for how, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "toml": toml.Marshal, "the other toml": burnt.Marshal} {
		data, err := marshal(map[string]any{"s": text})
		if err != nil || !strings.Contains(string(data), redacted) {
			t.Errorf("%s gives %s, %v", how, data, err)
		}
	}
	if secret.Reveal().Password != value || text.Reveal() != value || text.IsZero() {
		t.Error("the value is lost")
	}
	if none := (Secret[string]{}); none.Reveal() != "" || !none.IsZero() || none.String() != redacted {
		t.Error("the zero value holds something")
	}
}

func TestNoFileHoldsASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const value = "correct-horse-battery"
		dir := t.TempDir()
		look := func() {
			t.Helper()
			files := 0
			err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				files++
				data, err := os.ReadFile(filepath.Join(dir, path))
				if errors.Is(err, fs.ErrNotExist) {
					return nil // it has its name by now
				}
				if strings.Contains(string(data), value) {
					t.Errorf("%s holds it", path)
				}
				return err
			})
			if err != nil || files == 0 {
				t.Errorf("%d files, %v", files, err)
			}
		}
		options := Options{Dir: dir, AtOnce: 1, around: func(_, _ string, do func() error) error {
			err := do()
			look()
			return err
		}}
		s := opened(t, options, map[string]Func{"pull": func(_ context.Context, r *Run) error {
			r.Log(Info, fmt.Sprintf("with %v %+v %#v", r.Secrets(), r.Secrets(), r))
			r.Progress("p", json.RawMessage(`"`+value+`"`))
			switch r.Task().Subject {
			case "panic":
				panic(r.Secrets())
			case "wait":
				return ErrNeedsSecrets
			}
			return errors.Join(r.Step("fetch"), r.Checkpoint(json.RawMessage("1")), fmt.Errorf("x %v", r.Secrets()))
		}})
		for _, subject := range []string{"panic", "wait", "fail"} {
			submit(t, s, Spec{Kind: "pull", Subject: subject, Secrets: Hide[any](value)})
		}
		synctest.Wait()
		for _, task := range s.List(Filter{}) {
			if _, err := s.Retry(task.ID, Hide[any](value)); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		shut(t, s)
		look()
	})
}

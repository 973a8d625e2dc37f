package kasmregistry

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const small = `{"workspaces": [{"friendly_name": "Small", "name": "kasmweb/small:1", "image_src": "small.png"}]}`

func serve(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if to, redirect := strings.CutPrefix(answer, "to "); redirect {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestFetchTakesTheNewestSchema(t *testing.T) {
	other := strings.ReplaceAll(small, "Small", "Other")
	for name, c := range map[string]struct {
		answers          map[string]string
		path, want, icon string
	}{
		"1.1 before 1.0":            {map[string]string{"/1.1/list.json": small, "/1.0/list.json": other}, "/", "small", "/1.1/icons/small.png"},
		"1.0 where there is no 1.1": {map[string]string{"/1.0/list.json": small}, "", "small", "/1.0/icons/small.png"},
		"a page instead of 1.1":     {map[string]string{"/1.1/list.json": "<html>", "/1.0/list.json": small}, "", "small", "/1.0/icons/small.png"},
		"below a folder":            {map[string]string{"/kasm/1.1/list.json": small}, "/kasm", "small", "/kasm/1.1/icons/small.png"},
		"the list itself":           {map[string]string{"/2/list.json": small}, "/2/list.json?x=1#y", "small", "/2/icons/small.png"},
		"after a redirection":       {map[string]string{"/1.1/list.json": "to /new/list.json", "/new/list.json": small}, "", "small", "/1.1/icons/small.png"},
	} {
		t.Run(name, func(t *testing.T) {
			base := serve(t, c.answers)
			items, err := Fetch(t.Context(), base+c.path)
			if err != nil || len(items) != 1 || items[0].Err != nil {
				t.Fatalf("got %v, %v", items, err)
			}
			if ws := items[0].Workspace; ws.Name != c.want || ws.Icon != base+c.icon {
				t.Errorf("got %q with %q", ws.Name, ws.Icon)
			}
		})
	}
}

func TestFetchTellsWhatWentWrong(t *testing.T) {
	base := serve(t, map[string]string{
		"/loop.json": "to /loop.json", "/file.json": "to file:///etc/passwd", "/large.json": strings.Repeat(" ", MaxList+1), "/html.json": "<html>",
		"/password.json": "to http://user:secret@127.0.0.1:1/list.json",
	})
	for address, want := range map[string]string{
		base + "/none":              "/none/1.0/list.json: the server answered 404",
		base + "/loop.json":         "redirected more than 5 times",
		base + "/file.json":         "no address of a registry",
		base + "/password.json":     "no address of a registry",
		base + "/large.json":        "larger than",
		base + "/html.json":         "read it as a list",
		"ftp://registry.example/":   "no address of a registry",
		"https:///list.json":        "no address of a registry",
		"https://u:secret@x.test":   "no address of a registry",
		"http://127.0.0.1:1/":       "read the registry's list",
		"https://exa\x7fmple.test/": "no address of a registry",
	} {
		_, err := Fetch(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q is not in: %v", address, want, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the password is in: %v", address, err)
		}
	}
}

func TestEncryptionIsNotGivenUp(t *testing.T) {
	was, err := http.NewRequest(http.MethodGet, "https://registry.example/list.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	next, err := http.NewRequest(http.MethodGet, "http://registry.example/list.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkRedirect(next, []*http.Request{was}); err == nil {
		t.Error("a redirection from https to http is followed")
	}
	if err := checkRedirect(was, []*http.Request{next}); err != nil {
		t.Error(err)
	}
}

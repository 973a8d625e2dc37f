package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// FuzzRequest holds the helper against whatever a client may send: it answers,
// never with an error of its own, and its log keeps to its lines.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"POST", "/v1/tasks", `{"Pull":{"Image":"x"},"Credentials":{"r":{"username":"u","password":"p"}}}`},
		{"POST", "/v1/tasks", `{"Snapshot":{"Session":"s","Changes":["CMD [\"x\"]"]}}`},
		{"PUT", "/v1/workspaces/a", `image = "x"`},
		{"DELETE", "/v1/workspaces/a", ""},
		{"POST", "/v1/sessions/abc/extend", `{"Seconds":60}`},
		{"PUT", "/v1/sessions/0123456789abcdef", `{"Kind":"server","Name":"s","Workspace":"a"}`},
		{"DELETE", "/v1/sessions/0123456789abcdef", ""},
		{"POST", "/v1/tasks/ffffffffffff/retry", `{"Credentials":{}}`},
		{"GET", "/v1/tasks/%2e%2e%2f/log?follow=true", ""},
		{"GET", "/v1/workspaces/a%0ab", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if strings.HasPrefix(path, "/v1/events") {
			t.Skip("goes on until the client leaves")
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://helper"+path, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") {
			t.Skip("no request")
		}
		r.Header.Set("If-Match", "*")
		fix := newFixture(t)
		w := httptest.NewRecorder()
		fix.server.Handler().ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %q %q: %d %s", method, path, body, w.Code, w.Body)
		}
		if w.Code >= http.StatusBadRequest && w.Header().Get("Content-Type") != helperapi.TypeProblem {
			t.Errorf("%s %q: %d without a problem: %s", method, path, w.Code, w.Body)
		}
		for line := range strings.Lines(fix.log.String()) {
			if !strings.HasPrefix(line, "time=") {
				t.Errorf("%s %q breaks the log: %q", method, path, line)
			}
		}
	})
}

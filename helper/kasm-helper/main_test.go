//go:build unix

package main

import (
	"os"
	"testing"
)

// asHelper makes the test's program the helper.
const asHelper = "KASM_TEST_AS_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(asHelper) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestWrongUseIsToldFromFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		exit int
	}{
		{"an unknown flag", []string{"serve", "--sockets", "x"}, exitUsage},
		{"a flag without its value", []string{"serve", "--tasks"}, exitUsage},
		{"an unknown command", []string{"sreve"}, exitUsage},
		{"a level of the log that is none", []string{"serve", "--log-level", "loud"}, exitUsage},
		{"half a level of the log", []string{"serve", "--log-level", "info+2"}, exitUsage},
		{"a format of the log that is none", []string{"serve", "--log-format", "xml"}, exitUsage},
		{"no number of tasks", []string{"serve", "--tasks", "many"}, exitUsage},
		{"no tasks at all", []string{"serve", "--tasks", "0"}, exitUsage},
		{"no requests at all", []string{"serve", "--registry-requests", "-1"}, exitUsage},
		{"neither yes nor no", []string{"serve", "--poll-registries=perhaps"}, exitUsage},
		{"nor here", []string{"serve", "--announce=perhaps"}, exitUsage},
		{"an engine that is no address", []string{"serve", "--host", "docker.sock"}, exitUsage},
		{"no folder", []string{"serve", "--data", ""}, exitUsage},
		{"no socket", []string{"serve", "--socket", ""}, exitUsage},
		{"no socket to connect with", []string{"dial-stdio", "--socket", ""}, exitUsage},
		{"an argument too many", []string{"dial-stdio", "/run/docker-kasm/helper.sock"}, exitUsage},
		{"a folder that cannot be made", []string{"serve", "--data", "/dev/null/data"}, 1},
		{"nothing wrong", []string{"version"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, nil, nil, c.args...)
			if code := p.wait(t); code != c.exit {
				t.Errorf("exit code %d, want %d: %s", code, c.exit, p.stderr.String())
			}
			if told := p.stderr.Len() > 0; told != (c.exit != 0) {
				t.Errorf("standard error is %q", p.stderr.String())
			}
		})
	}
}

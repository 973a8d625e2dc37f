package main

import (
	"slices"
	"strings"
	"testing"
)

func TestStandaloneArgsPutGlobalOptionsBeforeTheName(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "docker kasm",
		"ls -a":                     "docker kasm ls -a",
		"--context x ls --format y": "docker --context x kasm ls --format y",
		"-D -H unix:///s ls":        "docker -D -H unix:///s kasm ls",
		"--help":                    "docker kasm --help",
		"commit -c ENV s":           "docker kasm commit -c ENV s",
		"__complete ls --f":         "docker __complete kasm ls --f",
		"__completeNoDesc run x":    "docker __completeNoDesc kasm run x",
		"--unknown ls":              "docker kasm --unknown ls",
		"--tls --tlscacert c ls":    "docker --tls --tlscacert c kasm ls",
		"--log-level=debug version": "docker --log-level=debug kasm version",
	} {
		if got := standaloneArgs(append([]string{"docker-kasm"}, strings.Fields(in)...)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

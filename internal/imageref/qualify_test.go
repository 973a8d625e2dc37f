package imageref

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func TestQualify(t *testing.T) {
	for name, tc := range map[string]struct{ name, registry, want, err string }{
		"no registry leaves the name":                 {name: "me/x:1", want: "docker.io/me/x:1"},
		"Docker Hub as Kasm's form has it":            {name: "me/x:1", registry: "https://index.docker.io/v1/", want: "docker.io/me/x:1"},
		"Docker Hub by its host":                      {name: "me/x", registry: "docker.io", want: "docker.io/me/x"},
		"Docker Hub by its old host":                  {name: "me/x", registry: "index.docker.io", want: "docker.io/me/x"},
		"Docker Hub with a name":                      {name: "x:1", registry: "docker.io/me", want: "docker.io/me/x:1"},
		"one part on Docker Hub is official":          {name: "firefox", registry: "https://index.docker.io/v1/", want: "docker.io/library/firefox"},
		"a host":                                      {name: "me/x:1", registry: "registry.example.com", want: "registry.example.com/me/x:1"},
		"a host and port":                             {name: "x", registry: "registry.example.com:5000", want: "registry.example.com:5000/x"},
		"an address with a port":                      {name: "x", registry: "https://registry.example.com:5000/", want: "registry.example.com:5000/x"},
		"an address with the interface's version":     {name: "x", registry: "https://registry.example.com/v2/", want: "registry.example.com/x"},
		"a name may be v2":                            {name: "x", registry: "ghcr.io/v2", want: "ghcr.io/v2/x"},
		"localhost":                                   {name: "x", registry: "localhost", want: "localhost/x"},
		"localhost with a port":                       {name: "x", registry: "http://localhost:5000", want: "localhost:5000/x"},
		"an address of IPv6":                          {name: "x", registry: "[::1]:5000", want: "[::1]:5000/x"},
		"a host in upper case is put in lower case":   {name: "x", registry: "GHCR.IO/me", want: "ghcr.io/me/x"},
		"a path goes before the name":                 {name: "kasmweb/x:1", registry: "ghcr.io/me", want: "ghcr.io/me/kasmweb/x:1"},
		"a path of an address goes before the name":   {name: "x", registry: "https://registry.example.com/team/", want: "registry.example.com/team/x"},
		"a path that is there already is not doubled": {name: "me/x:1", registry: "ghcr.io/me", want: "ghcr.io/me/x:1"},
		"a name with this registry is kept":           {name: "ghcr.io/you/x:1", registry: "https://ghcr.io/me/", want: "ghcr.io/you/x:1"},
		"a name with Docker Hub written out is kept":  {name: "docker.io/me/x", registry: "https://index.docker.io/v1/", want: "docker.io/me/x"},

		"another registry is refused and both named":  {name: "ghcr.io/me/x", registry: "https://registry.example.com/", err: `names the registry ghcr.io, but the registry asked for is registry.example.com`},
		"Docker Hub written out is another registry":  {name: "docker.io/me/x", registry: "ghcr.io", err: "names the registry docker.io, but the registry asked for is ghcr.io"},
		"another port is another registry":            {name: "localhost:5000/x", registry: "localhost:5001", err: "localhost:5000, but"},
		"a digest is refused":                         {name: "x@" + digest, registry: "ghcr.io", err: "digest"},
		"a user name in the address is refused":       {name: "x", registry: "https://me:pw@ghcr.io", err: "docker login"},
		"a query in the address is refused":           {name: "x", registry: "https://ghcr.io/?token=1", err: "query"},
		"another scheme is refused":                   {name: "x", registry: "ftp://ghcr.io", err: "https or http"},
		"a word that is no host is refused":           {name: "x", registry: "me", err: "write docker.io/me"},
		"a short host in an address wants its port":   {name: "x", registry: "https://registry/", err: "write registry:443"},
		"a path in upper case is refused":             {name: "x", registry: "ghcr.io/Me", err: "lower case"},
		"no host is refused":                          {name: "x", registry: "https:///v2/", err: "not an address"},
		"a name that is none is refused as by Parse":  {name: "X", registry: "ghcr.io", err: `write "x"`},
		"a port that is no number is refused":         {name: "x", registry: "ghcr.io:abc", err: "not an address"},
		"a path that makes the name too long refused": {name: strings.Repeat("x", 200), registry: "ghcr.io/" + strings.Repeat("a", 100), err: "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := Qualify(tc.name, tc.registry)
			check(t, ref, err, tc.want, tc.err)
		})
	}
}

func FuzzQualify(f *testing.F) {
	for _, registry := range []string{"", "https://index.docker.io/v1/", "docker.io", "docker.io/me", "index.docker.io", "registry.example.com", "registry.example.com:5000", "https://registry.example.com:5000/", "localhost:5000", "localhost", "ghcr.io/org", "https://registry.example.com/team/", "https://me:pw@ghcr.io", "[::1]:5000", "http://10.0.0.1"} {
		for _, name := range []string{"firefox", "kasmweb/firefox:1.17.0", "ghcr.io/org/x:a", "localhost:5000/x", "x@" + digest} {
			f.Add(name, registry)
		}
	}
	f.Fuzz(func(t *testing.T, name, registry string) {
		ref, err := Qualify(name, registry)
		if err != nil {
			return
		}
		if _, err := reference.Parse(ref.String()); err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		// What was qualified once is qualified, in either form.
		if registry == "" {
			return
		}
		again, err := Qualify(ref.String(), registry)
		if err != nil || again.String() != ref.String() {
			t.Fatalf("%s becomes %v, %v", ref, again, err)
		}
		host, _, err := parseRegistry(registry)
		if err != nil || !strings.EqualFold(Host(ref), host) && (host != hub || !isHub(Host(ref))) {
			t.Fatalf("%s is not on %s: %v", ref, host, err)
		}
	})
}

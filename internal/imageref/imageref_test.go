package imageref

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct{ in, want, err string }{
		"a bare name is one of Docker Hub's":     {in: "firefox", want: "docker.io/library/firefox"},
		"no tag is added":                        {in: "kasmweb/firefox", want: "docker.io/kasmweb/firefox"},
		"a tag is kept":                          {in: "kasmweb/firefox:1.17.0-rolling-daily", want: "docker.io/kasmweb/firefox:1.17.0-rolling-daily"},
		"a port is no tag":                       {in: "localhost:5000/a", want: "localhost:5000/a"},
		"a digest is kept":                       {in: "a@" + digest, want: "docker.io/library/a@" + digest},
		"index.docker.io is Docker Hub":          {in: "index.docker.io/kasmweb/firefox", want: "docker.io/kasmweb/firefox"},
		"a tag may be in upper case":             {in: "a:RC1", want: "docker.io/library/a:RC1"},
		"the lower-case form is said":            {in: "Firefox:RC1", err: `write "firefox:RC1"`},
		"also of a later part":                   {in: "kasmweb/FireFox", err: `write "kasmweb/firefox"`},
		"also behind a registry":                 {in: "GHCR.io/Me/FireFox:A", err: `write "GHCR.io/me/firefox:A"`},
		"a user in upper case is no registry":    {in: "MyRepo/firefox:A", err: `write "myrepo/firefox:A"`},
		"an empty name is refused":               {in: " ", err: "empty"},
		"an id is no name":                       {in: digest, err: "id of an image"},
		"an id without its kind is no name":      {in: strings.TrimPrefix(digest, "sha256:"), err: "id of an image"},
		"a scheme is refused":                    {in: "https://ghcr.io/me/x", err: "scheme"},
		"a space is refused":                     {in: "my image", err: "not valid"},
		"an empty tag is refused":                {in: "firefox:", err: "not valid"},
		"a tag of 129 characters is refused":     {in: "firefox:" + strings.Repeat("a", 129), err: "at most 128"},
		"a name of 300 characters is refused":    {in: "h.io/" + strings.Repeat("a", 300), err: "too long"},
		"a name that begins with - is refused":   {in: "-x/y", err: "not valid"},
		"a slash at the end is refused":          {in: "x/", err: "not valid"},
		"<none> is refused":                      {in: "<none>:<none>", err: "not valid"},
		"two dots in a row are refused":          {in: "kasmweb/fire..fox", err: "not valid"},
		"a bad digest is refused and not hidden": {in: "x@sha256:12", err: "x@sha256:12"},
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := Parse(tc.in)
			check(t, ref, err, tc.want, tc.err)
		})
	}
}

func check(t *testing.T, ref reference.Named, err error, want, wantErr string) {
	t.Helper()
	switch {
	case wantErr != "":
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("got %v, %v, want an error with %q", ref, err, wantErr)
		}
	case err != nil:
		t.Error(err)
	case ref.String() != want:
		t.Errorf("got %s, want %s", ref, want)
	}
}

func TestErrorsHideWhatMayBeAPassword(t *testing.T) {
	for _, in := range []string{"https://me:hunter2@ghcr.io/x", "me:hunter2@ghcr.io/x", "Me:hunter2@ghcr.io/X"} {
		if _, err := Parse(in); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%s): %v", in, err)
		}
		if _, err := Qualify("firefox", in); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Qualify(firefox, %s): %v", in, err)
		}
		if _, err := Qualify(in, "ghcr.io"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Qualify(%s, ghcr.io): %v", in, err)
		}
	}
}

func TestParseTagged(t *testing.T) {
	for name, tc := range map[string]struct{ in, want, err string }{
		"latest is added":                        {in: "firefox", want: "docker.io/library/firefox:latest"},
		"a tag is kept":                          {in: "ghcr.io/me/firefox:a", want: "ghcr.io/me/firefox:a"},
		"a digest is refused":                    {in: "me/firefox@" + digest, err: "write me/firefox"},
		"a digest is refused also behind a tag":  {in: "me/firefox:a@" + digest, err: "write me/firefox:a"},
		"what is no name is refused as by Parse": {in: "FireFox", err: `write "firefox"`},
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := ParseTagged(tc.in)
			check(t, ref, err, tc.want, tc.err)
		})
	}
}

func TestHostAndAuthKey(t *testing.T) {
	for in, want := range map[string][2]string{
		"firefox":                   {"docker.io", "https://index.docker.io/v1/"},
		"index.docker.io/me/x":      {"docker.io", "https://index.docker.io/v1/"},
		"localhost/x":               {"localhost", "localhost"},
		"localhost:5000/x":          {"localhost:5000", "localhost:5000"},
		"ghcr.io/me/x:a":            {"ghcr.io", "ghcr.io"},
		"registry.example.com:80/x": {"registry.example.com:80", "registry.example.com:80"},
	} {
		ref, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if host := Host(ref); host != want[0] || AuthKey(host) != want[1] {
			t.Errorf("%s: host %s, key %s, want %v", in, host, AuthKey(host), want)
		}
	}
}

func TestPushProblem(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"a name of two parts is good":                  {"kasmweb/firefox:1", ""},
		"one part is an official image":                {"firefox:1", "write YOUR-NAME/firefox"},
		"so is library written out":                    {"docker.io/library/firefox:1", "write YOUR-NAME/firefox"},
		"three parts are too many for Docker Hub":      {"a/b/c", "Docker Hub takes two; write YOUR-NAME/c"},
		"one part is good elsewhere":                   {"localhost:5000/firefox", ""},
		"library is good elsewhere":                    {"harbor.example.com/library/firefox", ""},
		"three parts are good elsewhere":               {"ghcr.io/a/b/c", ""},
		"nothing can be pushed to a digest, not a tag": {"a/b@" + digest, "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := Parse(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			got := PushProblem(ref)
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

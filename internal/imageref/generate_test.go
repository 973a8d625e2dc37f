package imageref

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	now, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func TestGenerate(t *testing.T) {
	long := strings.Repeat("a", 128)
	for name, tc := range map[string]struct{ image, prefix, want, err string }{
		"the stamp goes behind the tag":                {image: "kasmweb/firefox:develop", want: "kasmweb/firefox:develop-2023-03-12.23.44"},
		"latest is dropped":                            {image: "firefox:latest", want: "firefox:2023-03-12.23.44"},
		"no tag is as latest":                          {image: "firefox", want: "firefox:2023-03-12.23.44"},
		"the prefix takes the place of the user":       {image: "kasmweb/firefox:latest", prefix: "myrepo", want: "myrepo/firefox:2023-03-12.23.44"},
		"the prefix takes the place of the registry":   {image: "localhost:5000/a/b/firefox:1", prefix: "ghcr.io/me/", want: "ghcr.io/me/firefox:1-2023-03-12.23.44"},
		"a prefix may be a registry":                   {image: "kasmweb/firefox:1", prefix: "localhost:5000", want: "localhost:5000/firefox:1-2023-03-12.23.44"},
		"a generated tag is replaced":                  {image: "x:2022-01-02.03.04", want: "x:2023-03-12.23.44"},
		"a generated end is replaced":                  {image: "x:develop-2022-01-02.03.04", want: "x:develop-2023-03-12.23.44"},
		"also one with seconds":                        {image: "x:develop-2022-01-02.03.04.59", want: "x:develop-2023-03-12.23.44"},
		"also one with a number":                       {image: "x:develop-2022-01-02.03.04.59-12", want: "x:develop-2023-03-12.23.44"},
		"also several":                                 {image: "x:develop-2022-01-02.03.04-2022-01-02.03.04.05", want: "x:develop-2023-03-12.23.44"},
		"latest before a generated end is dropped":     {image: "x:latest-2022-01-02.03.04", want: "x:2023-03-12.23.44"},
		"digits that are no date are kept":             {image: "x:2022-13-02.03.04", want: "x:2022-13-02.03.04-2023-03-12.23.44"},
		"an image with a digest only has no tag":       {image: "me/x@" + digest, want: "me/x:2023-03-12.23.44"},
		"the tag before a digest is kept":              {image: "me/x:1@" + digest, want: "me/x:1-2023-03-12.23.44"},
		"an id becomes snapshot":                       {image: digest, want: "snapshot:2023-03-12.23.44"},
		"a short id becomes snapshot":                  {image: "0123456789ab", prefix: "myrepo", want: "myrepo/snapshot:2023-03-12.23.44"},
		"no image becomes snapshot":                    {want: "snapshot:2023-03-12.23.44"},
		"an image that lost its name becomes snapshot": {image: "<none>:<none>", want: "snapshot:2023-03-12.23.44"},
		"a long tag is cut":                            {image: "x:" + long, want: "x:" + long[:111] + "-2023-03-12.23.44"},
		"a cut that leaves a generated end drops it":   {image: "x:" + long[:94] + "-2022-01-02.03.04-more", want: "x:" + long[:94] + "-2023-03-12.23.44"},
		"a prefix in upper case is refused":            {image: "x", prefix: "MyRepo", err: `write "myrepo/x"`},
		"a prefix with a tag is refused":               {image: "x", prefix: "me/x:1", err: "repository_prefix"},
		"a prefix with a digest is refused":            {image: "x", prefix: "me@" + digest, err: "repository_prefix"},
		"an image that is no name is refused":          {image: "a b", err: "not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := Generator{Prefix: tc.prefix, Now: at(t, "2023-03-12 23:44:07")}.Generate(tc.image)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, %v, want an error with %q", ref, err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := Familiar(ref); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestGenerateAvoidsTakenNames(t *testing.T) {
	taken := map[string]bool{}
	g := Generator{Now: at(t, "2023-03-12 23:44:07"), Taken: func(ref string) (bool, error) { return taken[ref], nil }}
	for _, want := range []string{
		"me/x:1-2023-03-12.23.44",
		"me/x:1-2023-03-12.23.44.07",
		"me/x:1-2023-03-12.23.44.07-2",
		"me/x:1-2023-03-12.23.44.07-3",
	} {
		ref, err := g.Generate("me/x:1")
		if err != nil {
			t.Fatal(err)
		}
		if got := Familiar(ref); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		taken[Familiar(ref)] = true
	}

	g.Taken = func(string) (bool, error) { return true, nil }
	if ref, err := g.Generate("x"); err == nil || !strings.Contains(err.Error(), "all taken") {
		t.Errorf("with all names taken: %v, %v", ref, err)
	}
	broken := errors.New("engine gone")
	g.Taken = func(string) (bool, error) { return false, broken }
	if ref, err := g.Generate("x"); !errors.Is(err, broken) {
		t.Errorf("with Taken failing: %v, %v", ref, err)
	}
}

func TestIsGenerated(t *testing.T) {
	for tag, want := range map[string]bool{
		"2023-03-12.23.44":           true,
		"2023-03-12.23.44.05":        true,
		"2023-03-12.23.44.05-2":      true,
		"develop-2023-03-12.23.44":   true,
		"a--2023-03-12.23.44.05-11":  true,
		"2023-03-12.23.44-2":         false,
		"2023-03-12.23.44.05-1":      false,
		"develop2023-03-12.23.44":    false,
		"2023-03-12.23.44-develop":   false,
		"2023-02-30.23.44":           false,
		"2023-03-12.23.44.60":        false,
		"1.17.0-rolling-daily":       false,
		"latest":                     false,
		"":                           false,
		"develop-2023-03-12.23.44.5": false,
	} {
		if got := IsGenerated(tag); got != want {
			t.Errorf("IsGenerated(%q) = %v, want %v", tag, got, want)
		}
	}
}

func TestWorkspaceName(t *testing.T) {
	a, b := strings.Repeat("a", 200), strings.Repeat("b", 128)
	for in, want := range map[string]string{
		"ghcr.io/me/firefox:develop-2023-03-12.23.44": "firefox-develop-2023-03-12.23.44",
		"firefox:RC_1":   "firefox-rc_1",
		"me/" + a + ":1": a[:126] + "-1",
		"x:" + b:         "x-" + b[:126],
		a + ":" + b:      a[:32] + "-" + b[:95],
	} {
		ref, err := ParseTagged(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := WorkspaceName(ref); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzGenerate(f *testing.F) {
	for _, image := range []string{"firefox:latest", "kasmweb/firefox:develop", "kasmweb/desktop:1.17.0-rolling-daily", "x:develop-2023-03-12.23.44", "x:2023-03-12.23.44.05-2", "localhost:5000/a/b", digest, "0123456789ab", "a@" + digest, "<none>:<none>", "x:" + strings.Repeat("a", 94) + "-2022-01-02.03.04-more"} {
		f.Add(image, "", int64(1678664640), uint8(0))
		f.Add(image, "ghcr.io/me", int64(1678664640), uint8(3))
	}
	workspace := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	f.Fuzz(func(t *testing.T, image, prefix string, seconds int64, taken uint8) {
		now := time.Unix(seconds%(200*365*24*3600), 0).UTC()
		tries := 0
		g := Generator{Prefix: prefix, Now: now, Taken: func(string) (bool, error) { tries++; return tries <= int(taken), nil }}
		ref, err := g.Generate(image)
		if err != nil {
			return
		}
		if _, err := reference.Parse(ref.String()); err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if len(ref.Tag()) > maxTag || !IsGenerated(ref.Tag()) {
			t.Fatalf("bad tag %s", ref.Tag())
		}
		if name := WorkspaceName(ref); !workspace.MatchString(name) {
			t.Fatalf("bad workspace name %s", name)
		}
		// A snapshot of a snapshot differs in the stamp only, unless the
		// first had a longer stamp and its tag was cut for it.
		free := Generator{Prefix: prefix, Now: now}
		first, err := free.Generate(image)
		if err != nil {
			t.Fatal(err)
		}
		second, err := free.Generate(Familiar(first))
		if err != nil || second.String() != first.String() {
			t.Fatal(fmt.Sprintf("%s becomes %v", first, second), err)
		}
	})
}

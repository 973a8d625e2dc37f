package session

import (
	"maps"
	"slices"
	"testing"
)

func TestSecretsAreKnownByNameOrAddress(t *testing.T) {
	for text, want := range map[[2]string]bool{
		{"VNC_PW", "x"}: true, {"VNC_VIEW_ONLY_PW", ""}: true, {"DB_PASSWORD", "x"}: true, {"passphrase", "x"}: true, {"KASM_API_JWT", "x"}: true,
		{"GITHUB_TOKEN", "x"}: true, {"AWS_SECRET_ACCESS_KEY", "x"}: true, {"API_KEY", "x"}: true, {"apikey", "x"}: true, {"KEY", "x"}: true,
		{"SESSION_COOKIE", "x"}: true, {"AUTH", "x"}: true, {"SENTRY_DSN", "x"}: true, {"MYSQL_PWD", "x"}: true, {"REGISTRY_CREDENTIALS", "x"}: true,
		{"PROXY", "http://me:hunter2@proxy:3128"}: true, {"URL", "postgres://me:%zz@db/x"}: true,
		{"PROXY", "http://proxy:3128"}: false, {"URL", "https://me@host/"}: false, {"LANG", "de_DE.UTF-8"}: false, {"KEYBOARD", "de"}: false,
		{"PWR", "x"}: false, {"AUTHOR", "me"}: false, {"VNC_RESOLUTION", "1280x720"}: false, {"MONKEY", "x"}: false, {"PINS", "4"}: false,
	} {
		if got := IsSecret(text[0], text[1]); got != want {
			t.Errorf("%s=%s: got %v", text[0], text[1], got)
		}
	}
}

func TestEnvironmentIsWhatTheImageHasNot(t *testing.T) {
	env := []string{"PATH=/bin", "LANG=de", "VNC_PW=hunter2", "OFF"}
	image := []string{"PATH=/bin", "LANG=en", "VNC_PW=vncpassword"}
	want := map[string]string{"LANG": "de", "VNC_PW": Hidden}
	if got := environment(env, image, false); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want["VNC_PW"] = "hunter2"
	if got := environment(env, image, true); !maps.Equal(got, want) {
		t.Errorf("with secrets: got %v, want %v", got, want)
	}
}

func TestPasswordsAreMadeForKasmImagesOnly(t *testing.T) {
	kasm := map[string]string{labelKasmImage: "true"}
	image := []string{"VNC_PW=vncpassword", "VNC_VIEW_ONLY_PW=vncviewonlypassword"}
	for name, c := range map[string]struct {
		env, image []string
		labels     map[string]string
		made       []string
	}{
		"both":                     {nil, image, kasm, []string{"VNC_PW", "VNC_VIEW_ONLY_PW"}},
		"one is given":             {[]string{"VNC_PW=mine"}, image, kasm, []string{"VNC_VIEW_ONLY_PW"}},
		"one is taken away":        {[]string{"VNC_PW"}, image, kasm, []string{"VNC_VIEW_ONLY_PW"}},
		"one of a name that is so": {[]string{"VNC_PWX=1"}, image[:1], kasm, []string{"VNC_PW"}},
		"the image wants none":     {nil, []string{"PATH=/bin"}, kasm, nil},
		"no Kasm image":            {nil, image, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, password := withPasswords(c.env, c.image, c.labels)
			if !slices.Equal(got[:len(c.env)], c.env) {
				t.Errorf("%q became %q", c.env, got)
			}
			var made []string
			for _, text := range got[len(c.env):] {
				name := text[:len(text)-len("=")-26]
				made = append(made, name)
				if name == PasswordVariable && text != name+"="+password {
					t.Errorf("the password is %q, and %s", password, text)
				}
			}
			if !slices.Equal(made, c.made) || (password != "") != slices.Contains(c.made, PasswordVariable) {
				t.Errorf("made %q and the password %q", made, password)
			}
			if _, again := withPasswords(c.env, c.image, c.labels); again != "" && again == password {
				t.Error("two sessions get the same password")
			}
		})
	}
}

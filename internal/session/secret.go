package session

import (
	"crypto/rand"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The images of Kasm take the passwords of their desktop from the environment,
// and have well-known ones built in
// (https://github.com/kasmtech/workspaces-core-images).
const (
	// PasswordVariable is that of KasmUser, who may do everything.
	PasswordVariable = "VNC_PW"
	viewerVariable   = "VNC_VIEW_ONLY_PW"
	// KasmUser is the name that goes with PasswordVariable.
	KasmUser = "kasm_user"
)

// withPasswords gives the desktop of a Kasm image passwords of its own where
// neither workspace nor user give one: those that are built in are known to
// everyone. It returns the one made for KasmUser, "" if none was.
func withPasswords(env, imageEnv []string, labels map[string]string) (out []string, password string) {
	if labels[labelKasmImage] != "true" {
		return env, ""
	}
	for _, name := range []string{PasswordVariable, viewerVariable} {
		if !names(imageEnv, name) || names(env, name) {
			continue
		}
		made := rand.Text()
		env = append(slices.Clip(env), name+"="+made)
		if name == PasswordVariable {
			password = made
		}
	}
	return env, password
}

// names tells whether a variable is in an environment, with a value or not.
func names(env []string, name string) bool {
	return slices.ContainsFunc(env, func(text string) bool { key, _, _ := strings.Cut(text, "="); return key == name })
}

// Hidden stands for a value that is not shown.
const Hidden = "********"

var secretName = regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|cookie|jwt|apikey|private|(?:^|_)(?:pw|key|auth|pin|dsn)(?:$|_)`)

// IsSecret tells whether a variable looks as if its value is not for everyone:
// by its name, or because the value is an address with a password in it.
func IsSecret(name, value string) bool {
	if secretName.MatchString(name) {
		return true
	}
	u, err := url.Parse(value)
	if err != nil {
		// It may be an address all the same.
		return strings.Contains(value, "://") && strings.Contains(value, "@")
	}
	_, has := u.User.Password()
	return has
}

// environment is what was given at run time: the variables that are not as they
// are in the image.
func environment(env, imageEnv []string, show bool) map[string]string {
	given := map[string]string{}
	for _, text := range env {
		if slices.Contains(imageEnv, text) {
			continue
		}
		name, value, has := strings.Cut(text, "=")
		if !has {
			continue // it is taken away
		}
		if !show && IsSecret(name, value) {
			value = Hidden
		}
		given[name] = value
	}
	return given
}

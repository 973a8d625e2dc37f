package session

import (
	"cmp"
	"slices"
	"strings"
)

// harmless are the variables of Kasm's that tell of a session and hold no secret. All
// others may, whatever they are called: among those that a Kasm agent passes are tokens
// and passwords (KASM_API_JWT, VNC_PW).
func harmless() []string {
	return []string{
		"KASM_API_HOST", "KASM_API_PORT", "KASM_ID", "KASM_USER", "KASM_USER_ID", "KASM_USER_NAME",
		"LANG", "TZ", "VNC_RESOLUTION",
	}
}

// hideUnknown hides the values of all other variables.
func hideUnknown(env map[string]string) {
	for name, value := range env {
		if value != "" && !slices.Contains(harmless(), name) {
			env[name] = Hidden
		}
	}
}

// kasmUser is the user that Kasm runs a session for, "" if its environment does not
// tell.
func kasmUser(env []string) string {
	value := func(name string) string {
		for _, kv := range env {
			if v, ok := strings.CutPrefix(kv, name+"="); ok {
				return v
			}
		}
		return ""
	}
	return cmp.Or(value("KASM_USER_NAME"), value("KASM_USER"), value("KASM_USER_ID"))
}

package globals

import (
	"slices"
	"strings"
	"testing"
)

func TestOptionsEndWhereTheCommandBegins(t *testing.T) {
	for line, want := range map[string]string{
		"docker kasm commit s":                        "",
		"docker --context kasm kasm commit s":         "--context kasm",
		"docker -D -H tcp://h:1 --tls kasm ls --help": "-D -H tcp://h:1 --tls",
		"docker --config=/kasm --log-level warn kasm": "--config=/kasm --log-level warn",
		"docker --help kasm":                          "",
		"docker":                                      "",
	} {
		if got := Of(strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, not %q", line, got, want)
		}
	}
}

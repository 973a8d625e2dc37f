package snapshot

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// drops are the names given at run time, with the values they had then. Those
// in added are unknown to the parent image; those in changed have a value of
// their own there, which comes back.
type drops struct {
	added, changed map[string]string
}

// compare tells what a container was given on top of its image. Names that a
// change sets are the user's will and no drops, except that their former value
// must go as well where it differs.
func compare(of, parent map[string]string, set []string) drops {
	d := drops{added: map[string]string{}, changed: map[string]string{}}
	for name, value := range of {
		was, known := parent[name]
		switch {
		case known && was == value:
		case known || slices.Contains(set, name):
			d.changed[name] = value
		default:
			d.added[name] = value
		}
	}
	return d
}

// names lists what is dropped, sorted.
func (d drops) names() []string { return slices.Sorted(maps.Keys(d.added)) }

// environment is what the engine starts from: the parent's, and every added
// name with an empty value, because the engine adds names it misses back.
func (d drops) environment(parent []string) []string {
	env := slices.Clone(parent)
	for _, name := range d.names() {
		env = append(env, name+"=")
	}
	return env
}

func (d drops) labels(parent map[string]string) map[string]string {
	out := make(map[string]string, len(parent)+len(d.added))
	maps.Copy(out, parent)
	for name := range d.added {
		out[name] = ""
	}
	return out
}

// withoutBlank takes the names that only had to be blanked out of env again.
func (d drops) withoutBlank(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, value, _ := strings.Cut(kv, "=")
		_, added := d.added[name]
		return added && value == ""
	})
}

// minSecret is the shortest value that is looked for inside other text;
// shorter ones ("1", "yes") are everywhere.
const minSecret = 4

// foundIn lists the names of dropped values that occur in words.
func (d drops) foundIn(words []string) []string {
	var out []string
	for _, all := range []map[string]string{d.added, d.changed} {
		for name, value := range all {
			if len(value) >= minSecret && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, value) }) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

func envMap(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		m[name] = value
	}
	return m
}

// shown are the dropped names a user gave: session labels go without saying.
func shown(d drops) []string {
	return slices.DeleteFunc(d.names(), session.IsSessionLabel)
}

package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// drops are the names given at run time, with the values they had then. Those
// in added are unknown to the parent image; those in changed have a value of
// their own there, which comes back; those in kept are the user's wish to keep.
type drops struct {
	added, changed, kept map[string]string
}

// compare tells what a container was given on top of its image. Names that a
// change sets are the user's will and no drops, except that their former value
// must go as well where it differs. keep lists names to keep, "*" for all.
func compare(of, parent map[string]string, set, keep []string) (drops, error) {
	d := drops{added: map[string]string{}, changed: map[string]string{}, kept: map[string]string{}}
	for name, value := range of {
		was, known := parent[name]
		switch {
		case known && was == value:
		case kept(name, keep):
			d.kept[name] = value
		case known || slices.Contains(set, name):
			d.changed[name] = value
		default:
			d.added[name] = value
		}
	}
	for _, name := range keep {
		if _, ok := d.kept[name]; !ok && name != keepAll {
			return d, fmt.Errorf("cannot keep %q: the session was not given it at run time", name)
		}
	}
	return d, nil
}

// keepAll stands for every name. The labels that make a container a session
// are not meant by it, and cannot be kept by name either.
const keepAll = "*"

func kept(name string, keep []string) bool {
	return !session.IsSessionLabel(name) && (slices.Contains(keep, keepAll) || slices.Contains(keep, name))
}

// names lists what is dropped, sorted.
func (d drops) names() []string { return slices.Sorted(maps.Keys(d.added)) }

// environment is what the engine starts from: the parent's with what is kept,
// and every added name with an empty value, because the engine adds names it
// misses back.
func (d drops) environment(parent []string) []string {
	var env []string
	for _, kv := range parent {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := d.kept[name]; !ok {
			env = append(env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.kept)) {
		env = append(env, name+"="+d.kept[name])
	}
	for _, name := range d.names() {
		env = append(env, name+"=")
	}
	return env
}

func (d drops) labels(parent map[string]string) map[string]string {
	out := make(map[string]string, len(parent)+len(d.kept)+len(d.added))
	maps.Copy(out, parent)
	maps.Copy(out, d.kept)
	for name := range d.added {
		out[name] = ""
	}
	return out
}

// labelsWithoutBlank is withoutBlank for labels.
func (d drops) labelsWithoutBlank(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(name, value string) bool {
		_, added := d.added[name]
		return added && value == ""
	})
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

package change

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

func newLexer() *shell.Lex { return shell.NewLex(parser.DefaultEscapeToken) }

// environment is a container's environment for the lexer. The lexer's own
// folds the case of names where the client runs on Windows, but the container
// runs on Linux.
type environment map[string]string

func newEnvironment(entries []string) environment {
	env := environment{}
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// Get implements [shell.EnvGetter].
func (e environment) Get(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// Keys implements [shell.EnvGetter].
func (e environment) Keys() []string { return slices.Sorted(maps.Keys(e)) }

// anything is an environment in which every variable has a value, so that
// lexing tells only what is wrong with the words: ${NAME:?} is good there.
type anything struct{ used *[]string }

// Get implements [shell.EnvGetter].
func (a anything) Get(name string) (string, bool) {
	*a.used = append(*a.used, name)
	return "x", true
}

// Keys implements [shell.EnvGetter].
func (a anything) Keys() []string { return nil }

// lex takes quotes and escapes off a word. The variables it refers to are in
// used; the word returned means nothing if there are any.
func lex(word string) (plain string, used []string, err error) {
	if strings.ContainsRune(word, 0) {
		// JSON can spell it. The scanner below would print to stderr.
		return "", nil, errors.New("a NUL character cannot stand in an image's settings")
	}
	plain, _, err = newLexer().ProcessWord(word, anything{&used})
	return plain, used, err
}

// variables gives the names an instruction refers to where an engine expands.
func variables(node *parser.Node) ([]string, error) {
	cmd, err := instructions.ParseCommand(node)
	if err != nil {
		return nil, err
	}
	var all []string
	expand := func(word string) (string, error) {
		_, used, err := lex(word)
		all = append(all, used...)
		return word, err
	}
	switch cmd := cmd.(type) {
	case *instructions.ExposeCommand:
		for _, word := range cmd.Ports {
			if _, err := expand(word); err != nil {
				return nil, err
			}
		}
	case instructions.SupportsSingleWordExpansion:
		err = cmd.Expand(expand)
	}
	return all, err
}

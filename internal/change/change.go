// Package change reads the Dockerfile instructions a snapshot applies to the
// image it makes, refuses what an engine would refuse or quietly take for
// something else, and tells what an engine will make of the rest.
//
// An engine hands the instructions of POST /commit to the classic builder
// (moby, builder/dockerfile, BuildFromConfig). This package reads them with
// the same parser and shell lexer from github.com/moby/buildkit.
package change

// Change is one instruction, read and found good.
type Change struct {
	// Kind is the instruction's name in upper case, one of [Kinds].
	Kind string
	// Line is the instruction as an engine gets it: one line, continuation
	// lines joined, without parser directives, beginning with Kind.
	Line string
	// Source tells where the instruction was written: the source given to
	// [Parse], followed by ":LINE" where the source has several lines.
	Source string
	// Env holds what an ENV instruction sets, in order; else it is empty.
	Env []KeyValue
	// Labels holds what a LABEL instruction sets, in order; else it is empty.
	Labels []KeyValue
}

// KeyValue is one assignment of an ENV or LABEL instruction.
type KeyValue struct {
	// Name is the name as it will stand in the image: quotes and escapes
	// are gone. It is never empty and never depends on a variable.
	Name string
	// Value is the value as it was written, with quotes, escapes and
	// variables. [Set.Apply] gives the value an image will have.
	Value string
}

// Set is a list of changes in the order in which they apply. Sets read from
// several places are joined with append.
type Set []Change

// Kinds returns the instructions a change may use, in alphabetical order.
func Kinds() []string {
	return []string{"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "ONBUILD", "USER", "VOLUME", "WORKDIR"}
}

// Lines returns the instructions as they go into a commit request, one
// element without a newline each. It is nil for an empty set.
func (s Set) Lines() []string {
	var lines []string
	for _, c := range s {
		lines = append(lines, c.Line)
	}
	return lines
}

// EnvNames returns the names of the environment variables that the set's ENV
// instructions set, each once, in the order of their first appearance.
func (s Set) EnvNames() []string {
	return s.names(func(c Change) []KeyValue { return c.Env })
}

// LabelNames returns the names of the labels that the set's LABEL
// instructions set, each once, in the order of their first appearance.
func (s Set) LabelNames() []string {
	return s.names(func(c Change) []KeyValue { return c.Labels })
}

func (s Set) names(pairs func(Change) []KeyValue) []string {
	var names []string
	seen := map[string]bool{}
	for _, c := range s {
		for _, kv := range pairs(c) {
			if !seen[kv.Name] {
				seen[kv.Name] = true
				names = append(names, kv.Name)
			}
		}
	}
	return names
}

// SetsCmd reports whether the set has a CMD instruction.
func (s Set) SetsCmd() bool { return s.has("CMD") }

// SetsEntrypoint reports whether the set has an ENTRYPOINT instruction.
func (s Set) SetsEntrypoint() bool { return s.has("ENTRYPOINT") }

func (s Set) has(kind string) bool {
	for _, c := range s {
		if c.Kind == kind {
			return true
		}
	}
	return false
}

// Variables returns the names of the variables that the set's instructions
// refer to, each once, in the order of their first appearance. An engine
// replaces them with values from the session's environment, so a reference to
// a variable that holds a secret writes the secret into the image. CMD,
// ENTRYPOINT and ONBUILD are not looked at: an engine expands nothing there.
func (s Set) Variables() []string {
	var names []string
	seen := map[string]bool{}
	for _, c := range s {
		node, err := parseLine(c.Line)
		if err != nil {
			continue
		}
		used, err := variables(node)
		if err != nil {
			continue
		}
		for _, name := range used {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

package change

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/docker/go-connections/nat"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// checkEscape refuses what would mean something else without the directive
// "# escape=`", since directives are not sent: they would hold for every
// change of the request. Arguments of CMD, ENTRYPOINT and ONBUILD are taken
// as they stand whatever the escape character is.
func checkEscape(c Change, argument string, escape rune) error {
	if escape == parser.DefaultEscapeToken || !strings.ContainsAny(argument, "`\\") {
		return nil
	}
	switch c.Kind {
	case "CMD", "ENTRYPOINT", "ONBUILD":
		return nil
	}
	return fmt.Errorf("%s: the escape directive changes the meaning of ` and \\ here and is not sent to the engine; leave the directive out and escape with \\", shorten(c.Line))
}

// checkArgument refuses arguments that an engine refuses or quietly misreads,
// and fills in c.Env and c.Labels.
func checkArgument(c *Change, node *parser.Node, argument string) error {
	if argument == "" {
		return refuse(c.Kind, c.Line, "has no argument")
	}
	if c.Kind == "ONBUILD" {
		if err := checkTrigger(node, argument); err != nil {
			return err
		}
	}
	if err := checkJSON(c.Kind, c.Line, node, argument); err != nil {
		return err
	}
	cmd, err := instructions.ParseCommand(node)
	if err != nil {
		return refuse(c.Kind, c.Line, err.Error())
	}
	switch cmd := cmd.(type) {
	case *instructions.CmdCommand:
		return checkCommandLine(c, node, cmd.CmdLine)
	case *instructions.EntrypointCommand:
		if node.Attributes["json"] && len(cmd.CmdLine) == 0 {
			return refuse(c.Kind, c.Line, "does not clear the entrypoint, the engine keeps the session's")
		}
		return checkCommandLine(c, node, cmd.CmdLine)
	case *instructions.EnvCommand:
		c.Env, err = pairs(c, cmd.Env)
	case *instructions.LabelCommand:
		c.Labels, err = pairs(c, cmd.Labels)
	case *instructions.ExposeCommand:
		err = checkPorts(c, cmd.Ports)
	case *instructions.UserCommand:
		err = checkWord(c, cmd.User, goodUser)
	case *instructions.VolumeCommand:
		for _, path := range cmd.Volumes {
			if err == nil {
				err = checkWord(c, path, goodPath)
			}
		}
	case *instructions.WorkdirCommand:
		err = checkWord(c, cmd.Path, goodPath)
	}
	return err
}

// meantAsJSON reports whether an argument looks like the JSON form of its
// instruction. Of RUN only [" does: "RUN [ -f file ] || command" is good shell.
func meantAsJSON(kind, argument string) bool {
	switch kind {
	case "CMD", "ENTRYPOINT", "VOLUME", "ADD", "COPY", "SHELL":
		return strings.HasPrefix(argument, "[")
	case "RUN":
		return strings.HasPrefix(argument, `["`)
	}
	return false
}

// checkJSON refuses what starts like the JSON form and is not: engines take
// it for the shell form and say nothing.
func checkJSON(kind, line string, node *parser.Node, argument string) error {
	if node.Attributes["json"] || !meantAsJSON(kind, argument) {
		return nil
	}
	reason := `starts with [ and is not a JSON array of strings, so an engine would take it for a shell command`
	if kind == "VOLUME" {
		reason = `starts with [ and is not a JSON array of strings, so an engine would take it for a path`
	}
	return refuse(kind, line, reason)
}

func checkCommandLine(c *Change, node *parser.Node, words []string) error {
	for i, word := range words {
		if strings.ContainsRune(word, 0) {
			return refuse(c.Kind, c.Line, fmt.Sprintf("argument %d has a NUL character, which no program can be given", i+1))
		}
	}
	if !node.Attributes["json"] && strings.TrimSpace(strings.Join(words, " ")) == "" {
		return refuse(c.Kind, c.Line, "has no command")
	}
	return nil
}

// pairs gives the assignments of an ENV or LABEL instruction with the names
// as they will be in the image.
func pairs(c *Change, kvs instructions.KeyValuePairs) ([]KeyValue, error) {
	var out []KeyValue
	for _, kv := range kvs {
		name, used, err := lex(kv.Key)
		switch {
		case err != nil:
			return nil, refuse(c.Kind, c.Line, err.Error())
		case len(used) > 0:
			// Which names are set must be known before the session is
			// touched: what a change sets is kept, what it does not is
			// dropped from the snapshot.
			return nil, refuse(c.Kind, c.Line, fmt.Sprintf("the name %s depends on a variable", kv.Key))
		case name == "":
			return nil, refuse(c.Kind, c.Line, "a name is empty")
		}
		if _, _, err := lex(kv.Value); err != nil {
			return nil, refuse(c.Kind, c.Line, fmt.Sprintf("the value of %s: %v", name, err))
		}
		out = append(out, KeyValue{Name: name, Value: kv.Value})
	}
	return out, nil
}

// checkWord holds a word against good as far as it does not depend on
// variables; Apply does so again with their values.
func checkWord(c *Change, word string, good func(string) error) error {
	value, used, err := lex(word)
	if err == nil && len(used) == 0 {
		err = good(value)
	}
	if err != nil {
		return refuse(c.Kind, c.Line, err.Error())
	}
	return nil
}

func goodUser(user string) error {
	switch {
	case user == "":
		return errors.New("the user is empty")
	case strings.ContainsFunc(user, unicode.IsSpace):
		return fmt.Errorf("%q is more than one word", shorten(user))
	}
	return nil
}

func goodPath(path string) error {
	if strings.TrimSpace(path) == "" {
		return errors.New("a path is empty")
	}
	return nil
}

func checkPorts(c *Change, words []string) error {
	for _, word := range words {
		_, used, err := lex(word)
		if err == nil && len(used) == 0 {
			_, err = ports(word, environment(nil))
		}
		if err != nil {
			return refuse(c.Kind, c.Line, err.Error())
		}
	}
	return nil
}

// ports gives the ports one word of EXPOSE stands for. A variable may hold
// several, separated by spaces.
func ports(word string, env environment) ([]nat.Port, error) {
	specs, err := newLexer().ProcessWords(word, env)
	if err != nil {
		return nil, err
	}
	var out []nat.Port
	for _, spec := range specs {
		// Engines take IP:HOST:CONTAINER and drop all but the last part.
		if strings.Contains(spec, ":") {
			return nil, fmt.Errorf("%q names a port of the host, which an image cannot publish", spec)
		}
		mappings, err := nat.ParsePortSpec(spec)
		if err != nil {
			return nil, fmt.Errorf("%q is not a port: %w", spec, err)
		}
		for _, m := range mappings {
			out = append(out, m.Port)
		}
	}
	return out, nil
}

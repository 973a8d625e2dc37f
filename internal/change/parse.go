package change

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// maxFile bounds a file of changes. Changes travel in the query of a request;
// what is larger than this is no list of changes.
const maxFile = 1 << 20

// Parse reads the changes in text: one value of --change, or a whole file of
// them. Text holds one instruction or several, with comments, empty lines and
// continuation lines as in a Dockerfile. Source names the text in errors and
// in Change.Source; a line number is added where text has several lines.
//
// A text without an instruction, an instruction outside [Kinds] and one whose
// argument an engine refuses or quietly misreads are errors; nothing is
// returned then.
func Parse(source, text string) (Set, error) {
	numbered := strings.ContainsRune(strings.TrimRight(text, "\r\n"), '\n')
	return parse(place{source: source, numbered: numbered}, text)
}

// ParseFile reads the changes in a file as [Parse] does; path is the file's
// name for messages. Errors and Change.Source always carry a line number.
func ParseFile(path string, r io.Reader) (Set, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading changes from %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("reading changes from %s: the file is larger than %d bytes; give a file of Dockerfile instructions", path, maxFile)
	}
	return parse(place{source: path, numbered: true}, string(data))
}

// place makes the "where" of messages.
type place struct {
	source   string
	numbered bool
}

func (p place) at(line int) string {
	if !p.numbered || line < 1 {
		return p.source
	}
	return fmt.Sprintf("%s:%d", p.source, line)
}

func parse(where place, text string) (Set, error) {
	if line, err := checkText(text); err != nil {
		return nil, fmt.Errorf("%s: %w", where.at(line), err)
	}
	if !hasInstruction(text) {
		return nil, fmt.Errorf("%s: no instruction in it; write one of %s with its argument", where.source, allowed())
	}
	result, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return nil, parserError(where, text, err)
	}
	var set Set
	for i, node := range result.AST.Children {
		c, err := newChange(node, result.EscapeToken)
		if err != nil {
			var unknown *unknownError
			if i > 0 && errors.As(err, &unknown) && strings.Contains(result.AST.Children[i-1].Original, "<<") {
				err = errHeredoc()
			}
			return nil, fmt.Errorf("%s: %w", where.at(node.StartLine), err)
		}
		c.Source = where.at(node.StartLine)
		set = append(set, c)
	}
	return set, nil
}

// hasInstruction reports whether text has more than comments and white space;
// the parser's own message for that speaks of a file.
func hasInstruction(text string) bool {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return true
		}
	}
	return false
}

// parserError puts what the parser refuses in our words: the instruction it
// stands in is judged first, since "RUN is not allowed" helps more than what
// is wrong with the argument of RUN.
func parserError(where place, text string, err error) error {
	var located *parser.LocationError
	line := 0
	if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
		line = located.Locations[0][0].Start.Line
	}
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return fmt.Errorf("%s: %w", where.source, err)
	}
	written := strings.TrimSpace(strings.TrimPrefix(lines[line-1], "\ufeff"))
	word, _, _ := strings.Cut(strings.ReplaceAll(written, "\t", " "), " ")
	if strings.HasPrefix(word, "#") || word == "" {
		return fmt.Errorf("%s: %w", where.at(line), err)
	}
	kind, kindErr := kindOf(word)
	switch {
	case kindErr != nil:
		err = kindErr
	case strings.Contains(err.Error(), "heredoc"):
		err = errHeredoc()
	default:
		err = refuse(kind, written, err.Error())
	}
	return fmt.Errorf("%s: %w", where.at(line), err)
}

// newChange judges one instruction and brings it into the form an engine gets.
func newChange(node *parser.Node, escape rune) (Change, error) {
	kind, err := kindOf(node.Value)
	if err != nil {
		return Change{}, err
	}
	original := strings.TrimSpace(node.Original)
	argument := strings.TrimSpace(original[len(node.Value):])
	c := Change{Kind: kind, Line: strings.TrimSpace(kind + " " + argument)}
	if err := checkEscape(c, argument, escape); err != nil {
		return Change{}, err
	}
	if err := checkArgument(&c, node, argument); err != nil {
		return Change{}, err
	}
	// What is sent must mean to the engine what was read here. It differs
	// where joining lines made one that is too long or that ends in a
	// backslash, which would swallow the instruction after it.
	again, err := parseLine(c.Line)
	if err != nil || !sameNode(node, again) {
		return Change{}, refuse(kind, c.Line, "cannot be put on one line of less than 64 KiB that means the same")
	}
	return c, nil
}

// parseLine reads one instruction as an engine does when it gets nothing else.
// The line after it shows whether it would swallow its successor.
func parseLine(line string) (*parser.Node, error) {
	const next = "USER x"
	result, err := parser.Parse(strings.NewReader(line + "\n" + next))
	if err != nil {
		return nil, err
	}
	if n := len(result.AST.Children); n != 2 || result.AST.Children[1].Original != next {
		return nil, fmt.Errorf("reading %s: it is not a single instruction", shorten(line))
	}
	return result.AST.Children[0], nil
}

// sameNode reports whether two readings of an instruction say the same,
// leaving aside the case of its name and where it was written.
func sameNode(a, b *parser.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Dump() != b.Dump() || a.Attributes["json"] != b.Attributes["json"] || len(a.Heredocs) != len(b.Heredocs) {
		return false
	}
	if a.Next != nil && len(a.Next.Children) == 1 && b.Next != nil && len(b.Next.Children) == 1 {
		return sameNode(a.Next.Children[0], b.Next.Children[0])
	}
	return true
}

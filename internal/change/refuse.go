package change

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/moby/buildkit/frontend/dockerfile/command"
)

// unknownError is the refusal of a word that no Dockerfile knows.
type unknownError struct {
	word, suggestion string
}

func (e *unknownError) Error() string {
	hint := ""
	if e.suggestion != "" {
		hint = "; did you mean " + e.suggestion + "?"
	}
	return fmt.Sprintf("%s is not an instruction%s (allowed are %s)", shorten(e.word), hint, allowed())
}

// refuse says what is wrong with an instruction and how it is written.
func refuse(kind, line, reason string) error {
	return fmt.Errorf("%s: %s; write %s", shorten(line), reason, usage(kind))
}

func errHeredoc() error {
	return errors.New("heredocs (<<) are not available in a change; put the text in a script in the session and name that")
}

func usage(kind string) string {
	switch kind {
	case "CMD":
		return `CMD ["program","argument"] or CMD shell command`
	case "ENTRYPOINT":
		return `ENTRYPOINT ["program","argument"] or ENTRYPOINT shell command`
	case "ENV":
		return `ENV NAME=value, with quotes around a value that has spaces`
	case "EXPOSE":
		return `EXPOSE PORT[/tcp|/udp|/sctp], with ports from 0 to 65535`
	case "LABEL":
		return `LABEL name=value, with quotes around a value that has spaces`
	case "ONBUILD":
		return `ONBUILD INSTRUCTION argument`
	case "USER":
		return `USER name[:group] or USER uid[:gid]`
	case "VOLUME":
		return `VOLUME /path or VOLUME ["/path"]`
	default:
		return `WORKDIR /path`
	}
}

func allowed() string {
	kinds := Kinds()
	return strings.Join(kinds[:len(kinds)-1], ", ") + " and " + kinds[len(kinds)-1]
}

// kindOf returns the kind a word names, whatever its case.
func kindOf(word string) (string, error) {
	upper := strings.ToUpper(word)
	for _, kind := range Kinds() {
		if upper == kind {
			return kind, nil
		}
	}
	switch {
	case upper == "HEALTHCHECK", upper == "STOPSIGNAL":
		return "", fmt.Errorf("%s is not allowed in a change, though some engines would take it (allowed are %s); build an image from the snapshot to set it", upper, allowed())
	case isInstruction(upper):
		return "", fmt.Errorf("%s is not allowed in a change, which alters an image's settings and not its files (allowed are %s); build an image from the snapshot for more", upper, allowed())
	}
	return "", &unknownError{word: word, suggestion: nearest(upper)}
}

func isInstruction(upper string) bool {
	_, ok := command.Commands[strings.ToLower(upper)]
	return ok
}

// nearest returns the kind that was probably meant by a word in upper case,
// "" if none is near.
func nearest(upper string) string {
	best, distance := "", 3
	for _, kind := range Kinds() {
		rest, found := strings.CutPrefix(upper, kind)
		if found && rest != "" && !unicode.IsLetter(rune(rest[0])) {
			return kind + " followed by a space"
		}
		// Short names are near to everything: three letters of which two
		// differ are not a slip.
		if d := levenshtein.Distance(upper, kind, nil); d < distance && d < len(kind)-1 {
			best, distance = kind, d
		}
	}
	return best
}

// checkText refuses what no instruction may hold and gives the line it is in.
// Control characters are refused because they are invisible in a terminal and
// in an image's history; a newline within a value cannot be written in a
// Dockerfile at all.
func checkText(text string) (line int, err error) {
	line = 1
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			return line, errors.New("not valid UTF-8; save the text as UTF-8")
		case r == '\n':
			line++
		case r == '\t', r == '\r' && strings.HasPrefix(text[i:], "\r\n"), r == '\r' && i == len(text)-1:
		case unicode.IsControl(r):
			return line, fmt.Errorf("control character %U in it; leave it out", r)
		}
	}
	return 0, nil
}

// shorten keeps messages to one readable line.
func shorten(s string) string {
	const most = 60
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most-1]) + "…"
}

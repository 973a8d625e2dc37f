package contexts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command/formatter"
)

// HelpRows tells how lists show contexts that fail.
const HelpRows = `With --all-contexts or --contexts all engines are asked at the same time, and each
row tells its context. A context that fails, or does not answer in time, is a row
with its error; the command then fails when all others are shown. DOCKER_HOST says
what the context "default" is.`

// Header are the headings of the fields that rows of several contexts have besides.
func Header(header formatter.SubHeaderContext) formatter.SubHeaderContext {
	header["Context"], header["Error"] = "CONTEXT", "ERROR"
	return header
}

// First is a table's format with the context in its first column.
func First(table formatter.Format) formatter.Format {
	return "table {{.Context}}\t" + formatter.Format(strings.TrimPrefix(string(table), "table "))
}

// Table is a list of what several contexts have.
type Table struct {
	formatter.Context
	// Header has the headings of all fields.
	Header formatter.SubHeaderContext
	// Second is the field after that of the context where errors take the place of
	// all other fields: the format is a table. Other formats show them if they have
	// .Error; JSON does.
	Second string
}

// Write writes the rows of all answers, and those of contexts that failed. The error
// tells of what no row shows; it is not nil if a context failed.
func Write[T any](t Table, answers []Answer[T], rows func(Answer[T]) []formatter.SubContext) error {
	failures, err := write(t, answers, rows)
	if err != nil {
		return err
	}
	return Join(failures)
}

// Draw is Write for who goes on looking: that a context failed is no error.
func Draw[T any](t Table, answers []Answer[T], rows func(Answer[T]) []formatter.SubContext) error {
	_, err := write(t, answers, rows)
	return err
}

// Unseen is the error of contexts that failed where no row of the table shows it.
func Unseen[T any](t Table, answers []Answer[T]) error {
	if t.showsErrors() {
		return nil
	}
	var errs []error
	for _, a := range answers {
		errs = append(errs, Wrap(a))
	}
	return errors.Join(errs...)
}

func (t Table) showsErrors() bool {
	return t.Second != "" || t.Format.IsJSON() || t.Format.Contains(".Error") || t.Format.Contains("json .")
}

// write returns an error for each context that failed, which says nothing where a row
// has said it.
func write[T any](t Table, answers []Answer[T], rows func(Answer[T]) []formatter.SubContext) (failures []error, _ error) {
	out := t.Output
	var text bytes.Buffer
	t.Output = &text
	inPlace := map[string]string{}
	err := t.Write(&heading{formatter.HeaderContext{Header: t.Header}}, func(format func(formatter.SubContext) error) error {
		for _, a := range answers {
			for _, row := range rows(a) {
				if err := format(row); err != nil {
					return err
				}
			}
			if a.Err == nil {
				continue
			}
			row := failed(t.Header, a.Context.Name, a.Err)
			silent := error(cli.StatusError{StatusCode: 1}) // the row says why
			if t.Second != "" {
				line := "error: " + row["Error"]
				if short := shorten(line); t.Trunc && short != line {
					line, silent = short, Wrap(a)
				}
				mark := fmt.Sprintf("\x00%d", len(inPlace))
				row[t.Second], inPlace[mark] = mark, line
			}
			if !t.showsErrors() {
				failures = append(failures, Wrap(a))
				continue
			}
			failures = append(failures, silent)
			if err := format(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return failures, fill(out, text.Bytes(), inPlace)
}

// Join joins errors, and drops those that say nothing unless they are all there is.
func Join(errs []error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	said := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err.Error() == "" })
	if len(said) == 0 && len(errs) > 0 {
		return errs[0]
	}
	return errors.Join(said...)
}

// Wrap is the error of a context, with its name.
func Wrap[T any](a Answer[T]) error {
	if a.Err == nil {
		return nil
	}
	return fmt.Errorf("context %q: %w", a.Context.Name, a.Err)
}

type heading struct{ formatter.HeaderContext }

// failure is the row of a context that failed: it has the fields of all others.
type failure map[string]string

func failed(header formatter.SubHeaderContext, name string, err error) failure {
	row := failure{}
	for field := range header {
		row[field] = ""
	}
	row["Context"], row["Error"] = name, oneLine(err)
	return row
}

// FullHeader makes it a row; a table asks none for its headings.
func (failure) FullHeader() any { return nil }

// MarshalJSON leaves out what only other rows have.
func (f failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"Context": f["Context"], "Error": f["Error"]})
}

var marks = regexp.MustCompile(`\x00\d+ *(\n|$)`)

// fill puts lines in the places that are marked for them: as cells of the table they
// would make its column as wide as they are.
func fill(out io.Writer, table []byte, lines map[string]string) error {
	_, err := out.Write(marks.ReplaceAllFunc(table, func(found []byte) []byte {
		line, ok := lines[string(bytes.TrimRight(found, " \n"))]
		if !ok {
			return found
		}
		if bytes.HasSuffix(found, []byte("\n")) {
			line += "\n"
		}
		return []byte(line)
	}))
	return err
}

// wordy is what comes before the cause in errors of requests, which says nothing that
// the context does not.
var wordy = regexp.MustCompile(`^(error during connect: )?(unable to resolve docker endpoint: )?([A-Z][a-z]+ "[^"]*": )?`)

// oneLine is an error as a row has it: of an ssh that failed what that has said.
func oneLine(err error) string {
	text := err.Error()
	if _, said, ok := strings.Cut(text, "stderr="); ok && strings.TrimSpace(said) != "" {
		text = said
	}
	var lines []string
	for line := range strings.Lines(wordy.ReplaceAllString(text, "")) {
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return strings.Join(lines, "; ")
}

// readable is how much of an error fits into a row.
const readable = 80

// shorten leaves out the middle: errors begin with what was done, and end with the
// cause.
func shorten(line string) string {
	if utf8.RuneCountInString(line) <= readable {
		return line
	}
	runes := []rune(line)
	head := readable / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(readable-head-1):])
}

// Split takes CONTEXT/NAME apart; context is "" where there is none. A slash at the
// beginning belongs to a container's name.
func Split(arg string) (context, name string) {
	context, name, ok := strings.Cut(arg, "/")
	if !ok || context == "" {
		return "", arg
	}
	return context, name
}

package screen

import (
	"fmt"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/morikuni/aec"

	"github.com/docker-kasm/docker-kasm/internal/display"
)

// frame is a text on a terminal of a size; zero sizes are not known.
type frame struct {
	text, problem string
	height, width uint
}

// after is what a terminal that shows last is sent to show f in its place: line
// over line, so that nothing flickers. The cursor ends below, where a shell goes on.
func (f frame) after(last frame) string {
	var out strings.Builder
	if f.height != last.height || f.width != last.width {
		// The terminal has put what was there elsewhere.
		out.WriteString(aec.EraseDisplay(aec.EraseModes.All).String())
	}
	out.WriteString(aec.Position(1, 1).String())
	for _, line := range f.lines() {
		out.WriteString(line)
		// After the last column that would erase what is there.
		if f.width == 0 || runewidth.StringWidth(line) < int(f.width) {
			out.WriteString(aec.EraseLine(aec.EraseModes.Tail).String())
		}
		out.WriteString("\r\n")
	}
	out.WriteString(aec.EraseDisplay(aec.EraseModes.Tail).String())
	return out.String()
}

// lines are those that fit, each cut to the width. The last row is the cursor's.
func (f frame) lines() []string {
	lines := strings.Split(strings.TrimSuffix(f.text, "\n"), "\n")
	room := int(f.height) - 1
	var last []string
	if f.problem != "" {
		last = append(last, display.Line(f.problem))
		room--
	}
	if f.height > 1 && len(lines) > room {
		keep := max(room-1, 0)
		last = append([]string{fmt.Sprintf("… and %d more", len(lines)-keep)}, last...)
		lines = lines[:keep]
	}
	lines = append(lines, last...)
	for i, line := range lines {
		line = untab(line)
		if f.width > 0 {
			line = runewidth.Truncate(line, int(f.width), "…")
		}
		lines[i] = line
	}
	return lines
}

// untab puts spaces where a terminal would go to the next of its tabs, whose
// widths could not be told else.
func untab(line string) string {
	const tab = 8
	var out strings.Builder
	column := 0
	for i, part := range strings.Split(line, "\t") {
		if i > 0 {
			gap := tab - column%tab
			out.WriteString(strings.Repeat(" ", gap))
			column += gap
		}
		out.WriteString(part)
		column += runewidth.StringWidth(part)
	}
	return out.String()
}

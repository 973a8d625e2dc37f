package screen

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLinesAreCutToTheTerminal(t *testing.T) {
	for name, c := range map[string]struct {
		f    frame
		want []string
	}{
		"what fits is left as it is":     {frame{text: "NAME\na\n", height: 24, width: 80}, []string{"NAME", "a"}},
		"too wide":                       {frame{text: "abcdefgh\n", height: 24, width: 5}, []string{"abcd…"}},
		"wide runes":                     {frame{text: "東京都庁\n", height: 24, width: 5}, []string{"東京…"}},
		"a wide rune does not stick out": {frame{text: "a東京都\n", height: 24, width: 5}, []string{"a東…"}},
		"tabs":                           {frame{text: "a\tbc\td\n", height: 24, width: 80}, []string{"a       bc      d"}},
		"too many":                       {frame{text: "NAME\na\nb\nc\nd\n", height: 4, width: 80}, []string{"NAME", "a", "… and 3 more"}},
		"exactly as many as fit":         {frame{text: "NAME\na\nb\n", height: 4, width: 80}, []string{"NAME", "a", "b"}},
		"a problem is below":             {frame{text: "NAME\na\nb\n", problem: "gone\x1b[2J", height: 4, width: 80}, []string{"NAME", "… and 2 more", `gone\u001b[2J`}},
		"a terminal of one row":          {frame{text: "NAME\na\n", height: 1, width: 80}, []string{"NAME", "a"}},
		"a size that is not known":       {frame{text: strings.Repeat("x", 300) + "\n"}, []string{strings.Repeat("x", 300)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.f.lines(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, not %q", got, c.want)
			}
		})
	}
}

func TestAFrameIsDrawnOverTheLast(t *testing.T) {
	first := frame{text: "abc\nde\n", height: 24, width: 3}
	// Nothing of the screen is erased that is not drawn anew, and no line beyond
	// its end; the cursor comes to be below.
	if got, want := first.after(first), "\x1b[1;1Habc\r\nde\x1b[0K\r\n\x1b[0J"; got != want {
		t.Errorf("drew %q, not %q", got, want)
	}
	resized := first
	resized.width = 80
	if got := resized.after(first); !strings.HasPrefix(got, "\x1b[2J\x1b[1;1H") {
		t.Errorf("a terminal of another size is not cleared: %q", got)
	}
}

func TestChanges(t *testing.T) {
	type thing struct {
		name, state string
		age         int
	}
	c := Changes[thing]{
		Key:   func(x thing) string { return x.name },
		Facts: func(x thing) thing { x.age = 0; return x },
		Gone:  func(x thing) thing { x.state = "gone"; return x },
	}
	for i, step := range []struct{ list, want []thing }{
		{nil, nil},
		{[]thing{{"a", "on", 1}, {"b", "on", 1}}, []thing{{"a", "on", 1}, {"b", "on", 1}}},
		{[]thing{{"a", "on", 2}, {"b", "on", 2}}, nil},
		{[]thing{{"c", "on", 0}, {"a", "off", 3}}, []thing{{"c", "on", 0}, {"a", "off", 3}, {"b", "gone", 2}}},
		{[]thing{{"c", "on", 1}, {"a", "off", 4}}, nil},
	} {
		if got := c.Next(step.list); !reflect.DeepEqual(got, step.want) {
			t.Errorf("step %d: got %v, not %v", i, got, step.want)
		}
	}
}

func TestHeadingsAreWrittenOnce(t *testing.T) {
	for format, want := range map[string]string{"table {{.Name}}": "NAME\na\nb\n", "json": "NAME\na\nNAME\nb\n"} {
		var rows Rows
		rows.Format = "table x"
		if format == "json" {
			rows.Format = "json"
		}
		var all strings.Builder
		for _, name := range []string{"a", "b"} {
			text, err := rows.More(func(out *bytes.Buffer) error {
				_, err := fmt.Fprintf(out, "NAME\n%s\n", name)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		if all.String() != want {
			t.Errorf("%s: wrote %q", format, all.String())
		}
	}
}

package change

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseAccepts(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"one instruction":                              {"ENV A=2", []string{"ENV A=2"}},
		"the name is put in upper case":                {"env A=2", []string{"ENV A=2"}},
		"several assignments":                          {`ENV A=2 B="x y" C=z\ w`, []string{`ENV A=2 B="x y" C=z\ w`}},
		"the old form of ENV":                          {"ENV A x y z", []string{"ENV A x y z"}},
		"several instructions":                         {"ENV A=1\nUSER 1000\n", []string{"ENV A=1", "USER 1000"}},
		"comments and empty lines":                     {"# one\n\nENV A=1\n  # two\nUSER x", []string{"ENV A=1", "USER x"}},
		"continuation lines are joined":                {"ENV A=1 \\\n  B=2\\\n\n# why\n C=3", []string{"ENV A=1   B=2 C=3"}},
		"a continuation at the end is dropped":         {"ENV A=1 \\", []string{"ENV A=1"}},
		"ends of lines as on Windows":                  {"ENV A=1 \\\r\n B=2\r\nUSER x\r\n", []string{"ENV A=1  B=2", "USER x"}},
		"a byte order mark":                            {"\ufeffENV A=1", []string{"ENV A=1"}},
		"a tab between words":                          {"CMD\tls\t-l", []string{"CMD ls\t-l"}},
		"CMD [] clears the command":                    {"CMD []", []string{"CMD []"}},
		"JSON over several lines":                      {"CMD [\"a\", \\\n \"b\"]", []string{`CMD ["a",  "b"]`}},
		"shell with brackets inside":                   {"CMD test -f x && [ 1 = 1 ]", []string{"CMD test -f x && [ 1 = 1 ]"}},
		"shell that shifts is no heredoc":              {"CMD echo $((1 << 2))", []string{"CMD echo $((1 << 2))"}},
		"a quote in a shell command":                   {"CMD echo it's", []string{"CMD echo it's"}},
		"a range of ports":                             {"EXPOSE 8000-8002/udp 443", []string{"EXPOSE 8000-8002/udp 443"}},
		"a port in a variable":                         {"EXPOSE $PORT", []string{"EXPOSE $PORT"}},
		"a user in a variable":                         {"USER ${U:?who}", []string{"USER ${U:?who}"}},
		"a label with spaces in its name":              {`LABEL "a b"=c`, []string{`LABEL "a b"=c`}},
		"volumes as JSON":                              {`VOLUME ["/a b","/c"]`, []string{`VOLUME ["/a b","/c"]`}},
		"a directory with spaces":                      {"WORKDIR /a b", []string{"WORKDIR /a b"}},
		"a trigger of a kind that is not allowed":      {"ONBUILD RUN [ -f x ] || touch x", []string{"ONBUILD RUN [ -f x ] || touch x"}},
		"a trigger in lower case":                      {"onbuild copy . /app", []string{"ONBUILD copy . /app"}},
		"a syntax directive is a comment":              {"# syntax=docker/dockerfile:1\nENV A=1", []string{"ENV A=1"}},
		"an unknown directive is a comment":            {"# magic=1\nENV A=1", []string{"ENV A=1"}},
		"an escape directive that changes no argument": {"# escape=`\nENV A=1 `\n B=2\nCMD dir C:\\Windows", []string{"ENV A=1  B=2", `CMD dir C:\Windows`}},
		"an escape directive that says the default":    {"# escape=\\\nENV A=\\$B", []string{`ENV A=\$B`}},
		"two backslashes at the end are no join":       {"ENV A=b\\\\\nUSER x", []string{`ENV A=b\\`, "USER x"}},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Parse("--change", tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := set.Lines(); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"RUN":                                   {"RUN x", "--change: RUN is not allowed in a change"},
		"run in lower case":                     {"run x", "RUN is not allowed"},
		"COPY":                                  {"COPY a b", "COPY is not allowed"},
		"ADD":                                   {"ADD a b", "ADD is not allowed"},
		"FROM":                                  {"FROM x", "FROM is not allowed"},
		"ARG":                                   {"ARG x", "ARG is not allowed"},
		"SHELL":                                 {`SHELL ["x"]`, "SHELL is not allowed"},
		"MAINTAINER":                            {"MAINTAINER x", "MAINTAINER is not allowed"},
		"HEALTHCHECK, which engines take":       {"HEALTHCHECK NONE", "HEALTHCHECK is not allowed in a change, though some engines would take it (allowed are CMD,"},
		"STOPSIGNAL, which some engines take":   {"STOPSIGNAL 9", "STOPSIGNAL is not allowed in a change, though"},
		"RUN before its bad argument":           {"RUN [1]", "RUN is not allowed"},
		"RUN before its heredoc":                {"RUN <<EOF\nls\nEOF", "RUN is not allowed"},
		"a slip, with what was meant":           {"LABLE a=b", "did you mean LABEL?"},
		"a slip in lower case":                  {"entripoint a", "did you mean ENTRYPOINT?"},
		"a missing space":                       {`CMD["ls"]`, "did you mean CMD followed by a space?"},
		"a word that is near to nothing":        {"hello world", "hello is not an instruction (allowed are"},
		"malformed JSON of CMD":                 {`CMD ["x`, "would take it for a shell command"},
		"malformed JSON of ENTRYPOINT":          {`ENTRYPOINT ['x']`, "would take it for a shell command"},
		"malformed JSON of VOLUME":              {`VOLUME ["/x",]`, "would take it for a path"},
		"JSON that is not of strings":           {`CMD ["x",1]`, "strings only"},
		"shell that begins with a bracket":      {`CMD [ -f x ] && y`, "not a JSON array"},
		"a NUL in JSON":                         {`CMD ["\u0000"]`, "NUL"},
		"a NUL in a path":                       {`VOLUME ["/\u0000"]`, "NUL"},
		"CMD without a command":                 {"CMD", "CMD: has no argument; write CMD ["},
		"ENTRYPOINT []":                         {"ENTRYPOINT []", "does not clear the entrypoint"},
		"ENV with nothing":                      {"ENV", "ENV: has no argument"},
		"ENV with a name only":                  {"ENV A", "ENV must have two arguments; write ENV NAME=value"},
		"ENV without a name":                    {"ENV =x", "names can not be blank"},
		"ENV with an empty name in quotes":      {`ENV ""=x`, "a name is empty"},
		"ENV with a name in a variable":         {"ENV $A=x", "the name $A depends on a variable"},
		"ENV with a name that may be one":       {"ENV A${B:-}=x", "depends on a variable"},
		"ENV with a word that is no pair":       {"ENV A=1 B", "can't find = in"},
		"LABEL with a name only":                {"LABEL a", "LABEL must have two arguments"},
		"an unterminated quote":                 {`ENV A="x`, "matching double-quote"},
		"an unterminated single quote":          {"LABEL a it's", "matching single-quote"},
		"an unterminated brace":                 {"WORKDIR ${A:-x", "missing '}'"},
		"a modifier that does not exist":        {"WORKDIR ${A!b}", "unsupported modifier"},
		"EXPOSE over the highest port":          {"EXPOSE 99999", "not a port"},
		"EXPOSE of a name":                      {"EXPOSE http", `"http" is not a port`},
		"EXPOSE of a protocol unknown":          {"EXPOSE 80/http", "invalid proto"},
		"EXPOSE of a port on the host":          {"EXPOSE 8080:80", "port of the host"},
		"EXPOSE of a range backwards":           {"EXPOSE 9-8", "not a port"},
		"ONBUILD with nothing":                  {"ONBUILD", "has no argument"},
		"ONBUILD FROM":                          {"ONBUILD FROM x", "FROM is not allowed after ONBUILD"},
		"ONBUILD ONBUILD":                       {"ONBUILD onbuild RUN x", "ONBUILD is not allowed after ONBUILD"},
		"ONBUILD MAINTAINER":                    {"ONBUILD MAINTAINER x", "MAINTAINER is not allowed after ONBUILD"},
		"ONBUILD of no instruction":             {"ONBUILD ls -l", "ls is not an instruction"},
		"ONBUILD of an instruction alone":       {"ONBUILD RUN", "RUN has no argument"},
		"ONBUILD with malformed JSON":           {`ONBUILD RUN ["x`, "not a JSON array"},
		"ONBUILD of a bad instruction":          {"ONBUILD COPY x", "COPY requires at least two arguments"},
		"ONBUILD with a heredoc":                {"ONBUILD RUN <<EOF\nls\nEOF", "heredocs"},
		"ONBUILD with an open heredoc":          {"ONBUILD RUN <<EOF\nls", "heredocs"},
		"a heredoc of CMD":                      {"CMD cat <<EOF\nhello\nEOF", "heredocs"},
		"nothing":                               {"", "no instruction in it"},
		"white space":                           {" \n\t\n", "no instruction in it"},
		"comments only":                         {"# ENV A=1\n", "no instruction in it"},
		"a backslash only":                      {"\\\n", "not an instruction"},
		"a NUL":                                 {"ENV A=\x00", "control character U+0000"},
		"an escape sequence":                    {"ENV A=\x1b[1m", "control character U+001B"},
		"a carriage return within a line":       {"ENV A=a\rb", "control character U+000D"},
		"what is not UTF-8":                     {"ENV A=\xff", "UTF-8"},
		"USER with an empty word":               {`USER ""`, "the user is empty"},
		"USER with several words":               {"USER a b", "more than one word"},
		"USER with several words in quotes":     {`USER "a b"`, "more than one word"},
		"WORKDIR with nothing":                  {"WORKDIR", "has no argument"},
		"WORKDIR with an empty word":            {"WORKDIR ''", "a path is empty"},
		"VOLUME with an empty path":             {`VOLUME [""]`, "empty"},
		"VOLUME with no path":                   {`VOLUME []`, "at least one argument"},
		"VOLUME with an empty word":             {`VOLUME /a ""`, "a path is empty"},
		"a flag":                                {"CMD --x ls", "x"},
		"an escape directive that matters":      {"# escape=`\nENV A=`$B", "escape directive"},
		"one that makes backslashes plain":      {"# escape=`\nWORKDIR C:\\x", "escape directive"},
		"one that ends a command in backslash":  {"# escape=`\nCMD dir C:\\\nUSER x", "means the same"},
		"an escape directive that is none":      {"# escape=x\nENV A=b", "escape token"},
		"two escape directives":                 {"# escape=`\n# escape=`\nENV A=b", "escape"},
		"a backslash before a space of Unicode": {"ENV A=x\\\u00a0\nUSER y", "means the same"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Parse("--change", tc.text)
			if err == nil {
				t.Fatalf("accepted as %q", set.Lines())
			}
			if set != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %q, want an error with %q", set, err, tc.want)
			}
		})
	}
}

func TestErrorsAndSourcesHaveLines(t *testing.T) {
	text := "# settings\nENV A=1 \\\n  B=2\nrun x\n"
	for name, tc := range map[string]struct {
		parse func() (Set, error)
		want  string
	}{
		"a file":                      {func() (Set, error) { return ParseFile("changes.txt", strings.NewReader(text)) }, "changes.txt:4: RUN is not allowed in a change"},
		"a value of several lines":    {func() (Set, error) { return Parse("--change", text) }, "--change:4: RUN is"},
		"a file of one line":          {func() (Set, error) { return ParseFile("f", strings.NewReader("ENV A")) }, "f:1: ENV A: "},
		"a value of one line":         {func() (Set, error) { return Parse("--change", "ENV A\n") }, "--change: ENV A: "},
		"what the parser refuses":     {func() (Set, error) { return Parse("f", "USER x\n\nLABEL a\n") }, "f:3: LABEL a: "},
		"what no text may hold":       {func() (Set, error) { return Parse("f", "USER x\nENV A=\x07") }, "f:2: control"},
		"a file without instructions": {func() (Set, error) { return ParseFile("f", strings.NewReader("#\n")) }, "f: no instruction"},
		"a file that is too large":    {func() (Set, error) { return ParseFile("f", strings.NewReader(strings.Repeat("#\n", maxFile))) }, "f: the file is larger"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tc.parse(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	set, err := ParseFile("f", strings.NewReader("# x\nUSER a\nENV A=1 \\\n B=2\nCMD x"))
	if err != nil {
		t.Fatal(err)
	}
	if set[0].Source != "f:2" || set[1].Source != "f:3" || set[2].Source != "f:5" {
		t.Errorf("got sources %s, %s, %s", set[0].Source, set[1].Source, set[2].Source)
	}
}

func TestSetTellsWhatItSets(t *testing.T) {
	set, err := Parse("x", `ENV A=1 "B"='$x' A=$HOME
LABEL "a b"=c d\ e="$VNC_PW${HOME}"
ENV OLD form \$not $yes
EXPOSE ${PORT:-80}
CMD echo $IGNORED`)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"EnvNames":       {set.EnvNames(), []string{"A", "B", "OLD"}},
		"LabelNames":     {set.LabelNames(), []string{"a b", "d e"}},
		"Variables":      {set.Variables(), []string{"HOME", "VNC_PW", "yes", "PORT"}},
		"Env":            {set[0].Env, []KeyValue{{"A", "1"}, {"B", "'$x'"}, {"A", "$HOME"}}},
		"SetsCmd":        {set.SetsCmd(), true},
		"SetsEntrypoint": {set.SetsEntrypoint(), false},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %q, want %q", name, pair[0], pair[1])
		}
	}
}

package change

import (
	"reflect"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// FuzzParse holds what Parse accepts against a reading of all lines together,
// which is what an engine does.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"ENV A=2 B=\"x y\" C=z\\ w",
		"ENV A x y z",
		"ENV VNC_PW=",
		"LABEL \"a b\"=c com.example.x='$y' \\\n # c\n d=${e:-f}",
		"CMD [\"/bin/bash\",\"-c\",\"echo \\\"$HOME\\\"\"]",
		"CMD echo hello <<EOF",
		"ENTRYPOINT [\"/dockerstartup/kasm_default_profile.sh\",\"/dockerstartup/vnc_startup.sh\"]\nCMD [\"--wait\"]",
		"EXPOSE 4901 5901/tcp 6901-6910/udp $P",
		"ONBUILD RUN --mount=type=cache,target=/x apt-get update\nONBUILD COPY [\"a\",\"b\"]",
		"onbuild onbuild x",
		"USER 1000:0", "VOLUME [\"/a\"]", "VOLUME /a /b", "WORKDIR ./x",
		"# syntax=docker/dockerfile:1\n# escape=`\nCMD dir C:\\\nENV A=`$x `\n B=1",
		"\ufeff# escape=\\\r\nENV A=b \\\r\n\r\n c=d\r\n",
		"RUN <<EOF\nx\nEOF\n", "ENV A=x\\\u00a0\nUSER y", "CMD [\"x", "CMD --x y", "CMD -- x", "ENV A=${B%%x*} C=${D/a/b} E=${F?g}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := Parse("fuzz", text)
		if err != nil {
			if set != nil || strings.ContainsAny(err.Error(), "\n\x00") && !strings.Contains(text, "\n") {
				t.Fatalf("%v, %q", set, err)
			}
			return
		}
		lines := set.Lines()
		for i, line := range lines {
			if strings.ContainsAny(line, "\n\r\x00") || !strings.HasPrefix(line, set[i].Kind+" ") {
				t.Fatalf("bad line %q", line)
			}
			again, err := Parse(set[i].Source, line)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if len(again) != 1 || !reflect.DeepEqual(again[0], set[i]) {
				t.Fatalf("%#v becomes %#v", set[i], again)
			}
		}
		result, err := parser.Parse(strings.NewReader(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatalf("%q: %v", lines, err)
		}
		if len(result.AST.Children) != len(lines) {
			t.Fatalf("%q are %d instructions to an engine", lines, len(result.AST.Children))
		}
		for i, node := range result.AST.Children {
			if node.Original != lines[i] {
				t.Fatalf("%q becomes %q", lines[i], node.Original)
			}
			if _, err := instructions.ParseCommand(node); err != nil {
				t.Fatalf("%q: %v", lines[i], err)
			}
		}
		_ = set.Variables()
		if cfg, err := set.Apply(session()); err == nil {
			for _, name := range set.EnvNames() {
				if !strings.Contains("\n"+strings.Join(cfg.Env, "\n"), "\n"+name+"=") {
					t.Fatalf("%s is not set in %q", name, cfg.Env)
				}
			}
			for _, name := range set.LabelNames() {
				if _, ok := cfg.Labels[name]; !ok {
					t.Fatalf("%s is not set in %q", name, cfg.Labels)
				}
			}
		}
	})
}

package workspace

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const full = `# my own notes
friendly_name = "Firefox"
description = "Firefox on a small desktop"
image = "kasmweb/firefox:1.16.0"
categories = ["Browser"]
icon = "https://example.com/firefox.png"

[resources]
cpus = 2
memory = "2768m"
shm_size = "512m"
gpus = "device=0"
ulimits = ["nofile=1024:2048"]

[run]
ports = ["127.0.0.1::6901"]
environment = { LANG = "en_US.UTF-8" }
volumes = ["firefox-home:/home/kasm-user"]
tmpfs = ["/tmp:mode=1777,exec"]
networks = ["name=desktops,alias=firefox"]
rm = true
open = "https://localhost:{6901}/"

[hooks]
before_stop = ["/dockerstartup/kasm_pre_shutdown_user.sh"]
timeout = "1m30s"

[lifetime]
limit = "8h"
on_expiry = "pause"
idle = "1h"
snapshot_first = true

[snapshot]
of = "firefox"
image_id = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
created = 2026-11-23T20:00:00Z
`

func TestDecodeReadsEveryKey(t *testing.T) {
	ws, err := Decode("firefox", "firefox.toml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if ws.FriendlyName != "Firefox" || ws.Resources.CPUs != 2 || ws.Run.Environment["LANG"] != "en_US.UTF-8" || !ws.Run.Remove || len(ws.Run.Networks) != 1 || len(ws.Resources.Ulimits) != 1 ||
		time.Duration(ws.Lifetime.Limit) != 8*time.Hour || !ws.Lifetime.SnapshotFirst || time.Duration(ws.Hooks.Timeout) != 90*time.Second || ws.Snapshot.Of != "firefox" || ws.Snapshot.Created.IsZero() {
		t.Errorf("got %+v", ws)
	}
	if ws.Type != TypeContainer || !ws.Enabled || ws.Pull != PullMissing {
		t.Errorf("defaults: type %q, enabled %v, pull %q", ws.Type, ws.Enabled, ws.Pull)
	}
}

func TestEncodedDecodesToTheSame(t *testing.T) {
	for _, text := range []string{
		full, `image = "x"`, "type = \"link\"\nurl = \"https://example.com\"\nenabled = false",
		"image = \"x\"\n[run]\ntmpfs = []\n", "image = \"x\"\n[run.environment]\n\"odd key\" = \"a \\\"b\\\"\\n\"\nB = 'c'",
	} {
		a, err := Decode("w", "f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Decode("w", "f", encoded)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, encoded)
		}
		a.Revision, b.Revision = "", ""
		if !equal(a, b) {
			t.Errorf("%+v became %+v through:\n%s", a, b, encoded)
		}
	}
}

// The place of a syntax error is that of the last character that was understood:
// the TOML library counts so.
func TestErrorsHaveTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax":                   {"image = \"x\"\nfriendly_name = \"y", "w.toml:2:18: "},
		"unknown key":              {"image = \"x\"\n  colour = 1", `w.toml:2:3: unknown key "colour"`},
		"misspelt key":             {"imgae = \"x\"", `w.toml:1:1: unknown key "imgae": did you mean "image"?`},
		"key of a table above it":  {"image = \"x\"\nmemory = \"1g\"", `w.toml:2:1: unknown key "memory": did you mean "resources.memory"?`},
		"unknown key in a table":   {"image = \"x\"\n[resources]\nmemroy = \"1g\"", `w.toml:3:1: unknown key "resources.memroy": did you mean "resources.memory"?`},
		"unknown table":            {"image = \"x\"\n[resuorces]\nmemory = \"1g\"", `w.toml:2:2: unknown key "resuorces": did you mean`},
		"wrong type":               {"image = \"x\"\nenabled = \"yes\"", `w.toml:2:11: enabled must be true or false`},
		"wrong type in a list":     {"image = \"x\"\ncategories = [\"a\", 1]", `w.toml:2:14: categories must be a list of strings`},
		"wrong type, inline table": {"image = \"x\"\nresources = { cpus = \"two\" }", `w.toml:2:22: resources.cpus must be a number`},
		"wrong type in a map":      {"image = \"x\"\n[run]\nenvironment = { A = 1 }", `w.toml:3:21: run.environment.A must be a string`},
		"a list of tables":         {"image = \"x\"\n[[resources]]\nmemory = \"1g\"", `w.toml:2:3: resources must be a table`},
		"a value for a table":      {"image = \"x\"\nrun = 1", `w.toml:2:7: run must be a table`},
		"no image":                 {"friendly_name = \"x\"", `w.toml:1:1: image: missing`},
		"bad image":                {"image = \"Firefox\"", `w.toml:1:9: image: "Firefox" is no image reference: repositories are lower-case, such as "firefox"`},
		"unknown type":             {"type = \"vm\"", `w.toml:1:8: type: "vm" is not allowed: use one of container, server, link`},
		"bad policy":               {"image = \"x\"\npull = \"often\"", `w.toml:2:8: pull: "often" is not allowed: use one of always, missing, never`},
		"bad memory":               {"image = \"x\"\n[resources]\nmemory = \"lots\"", `w.toml:3:10: resources.memory: "lots" is no size`},
		"negative processors":      {"image = \"x\"\nresources.cpus = -1", `w.toml:2:18: resources.cpus: -1 is no number of processors`},
		"bad duration":             {"image = \"x\"\n[lifetime]\nlimit = \"8 hours\"", `w.toml:3:9: lifetime.limit: "8 hours" is no duration`},
		"no duration":              {"image = \"x\"\n[lifetime]\nlimit = \"0s\"", `w.toml:3:9: lifetime.limit: a duration of 0s means nothing: leave the key out for no limit`},
		"bad address":              {"image = \"x\"\n[run]\nopen = \"\\\"http://localhost:{80}/\\\"\"", `w.toml:3:8: run.open: "\"http://localhost:{80}/\"" is no address: write it like https://localhost:{6901}/`},
		"address without a host":   {"image = \"x\"\n[run]\nopen = \"javascript:alert(1)\"", `w.toml:3:8: run.open: "javascript:alert(1)" is no address`},
		"address with a bad port":  {"image = \"x\"\n[run]\nopen = \"http://localhost:{65536}/\"", `w.toml:3:8: run.open: "http://localhost:{65536}/": {65536} is no port`},
		"bad port":                 {"image = \"x\"\n[run]\nports = [\"http\"]", `w.toml:3:9: run.ports: "http" is no port`},
		"bad port, long form":      {"image = \"x\"\n[run]\nports = [\"published=80\"]", `w.toml:3:9: run.ports: "published=80" is no port: a published port needs a target`},
		"volume of four parts":     {"image = \"x\"\n[run]\nvolumes = [\"a:/b:ro:c\"]", `w.toml:3:11: run.volumes: "a:/b:ro:c" is no volume`},
		"network twice":            {"image = \"x\"\n[run]\nnetworks = [\"a\", \"a\"]", `w.toml:3:12: run.networks: network "a" is given twice`},
		"rm, wrong type":           {"image = \"x\"\n[run]\nrm = \"yes\"", `w.toml:3:6: run.rm must be true or false`},
		"bad ulimit":               {"image = \"x\"\n[resources]\nulimits = [\"nofile=2:1\"]", `w.toml:3:11: resources.ulimits: "nofile=2:1" is no ulimit`},
		"bad gpus":                 {"image = \"x\"\n[resources]\ngpus = \"some\"", `w.toml:3:8: resources.gpus: "some" is no choice of GPUs`},
		"processors, too precise":  {"image = \"x\"\nresources.cpus = 0.0000000001", `w.toml:2:18: resources.cpus: 0.0000000001: value is too precise`},
		"relative volume":          {"image = \"x\"\n[run]\nvolumes = [\"./x:/y\"]", `w.toml:3:11: run.volumes: "./x:/y": give an absolute path`},
		"bad digest":               {"image = \"x\"\n[snapshot]\nimage_id = \"sha256:1\"", `w.toml:3:12: snapshot.image_id: "sha256:1" is no digest`},
		"control characters":       {"image = \"x\"\nfriendly_name = \"a\\u001b[2J\"", `w.toml:2:17: friendly_name: "a\x1b[2J" has control characters`},
		"image of a link":          {"type = \"link\"\nimage = \"x\"\nurl = \"https://x\"", `w.toml:2:9: image: a link workspace has no image`},
		"server without a url":     {"type = \"server\"", `w.toml:1:1: url: a server workspace needs a url that begins with rdp:// or vnc:// or ssh://`},
		"password in a url":        {"type = \"server\"\nurl = \"ssh://me:pw@host\"", `w.toml:2:7: url: a server workspace needs a url`},
		"negative duration":        {"image = \"x\"\n[lifetime]\nidle = \"-1h\"", `w.toml:3:8: lifetime.idle: a duration of -1h means nothing`},
		"idle under a minute":      {"image = \"x\"\n[lifetime]\nidle = \"30s\"", `w.toml:3:8: lifetime.idle: 30s is too short`},
		"unknown expiry":           {"image = \"x\"\n[lifetime]\non_expiry = \"kill\"", `w.toml:3:13: lifetime.on_expiry: "kill" is not allowed: use one of stop, pause, delete`},
		"text for snapshot_first":  {"image = \"x\"\n[lifetime]\nsnapshot_first = \"yes\"", `w.toml:3:18: lifetime.snapshot_first must be true or false`},
		"a number for a duration":  {"image = \"x\"\nlifetime.limit = 8", `w.toml:2:18: lifetime.limit must be a duration such as "8h"`},
		"date without a time":      {"image = \"x\"\nsnapshot.created = 2026-01-01", `w.toml:2:20: snapshot.created must be a date and time`},
		"a key of dots in quotes":  {"image = \"x\"\n\"resources.memory\" = \"1g\"", `w.toml:2:1: unknown key "\"resources.memory\""`},
		"a table in quotes":        {"image = \"x\"\n\"run.environment\".A = \"b\"", `w.toml:2:1: unknown key "\"run.environment\".A"`},
		"a list of environments":   {"image = \"x\"\n[[run.environment]]\nA = \"b\"", `w.toml:2:3: run.environment must be a table of strings`},
		"environment, wrong type":  {"image = \"x\"\n[run.environment]\n\"A\" = 1", `w.toml:3:7: run.environment.A must be a string`},
		"environment, no name":     {"image = \"x\"\n[run.environment]\nB = \"\"\n\"A=\" = \"x\"", `w.toml:4:8: run.environment."A=": "A=" is no name of an environment variable`},
		"environment, NUL":         {"image = \"x\"\nrun.environment.A = \"\\u0000\"", `w.toml:2:21: run.environment.A: a value cannot have a NUL character`},
		"environment, nested":      {"image = \"x\"\nrun = { environment = { A.B = \"x\" } }", `w.toml:2:25: unknown key "run.environment.A.B"`},
		"control characters, port": {"image = \"x\"\nrun.ports = [\"\\u001b[2J\"]", `w.toml:2:13: run.ports: "\x1b[2J" has control characters`},
		"raw control characters":   {"image = \"x\"\nicon = \"\x1b\"", `w.toml:2:8: TOML files cannot contain control characters`},
		"link to a server":         {"type = \"link\"\nurl = \"ssh://x\"", `w.toml:2:7: url: a link workspace needs a url`},
		"server on the web":        {"type = \"server\"\nurl = \"https://x\"", `w.toml:2:7: url: a server workspace needs a url`},
		"url without a host":       {"type = \"link\"\nurl = \"https://:443\"", `w.toml:2:7: url: a link workspace needs a url`},
		"line ends of DOS":         {"image = \"x\"\r\n  colour = 1\r\n", `w.toml:2:3: unknown key "colour"`},
		"byte order mark":          {"\xef\xbb\xbfcolour = 1", `w.toml:1:1: unknown key "colour"`},
		"not UTF-8":                {"image = \"x\"\nicon = \"\xff\"", `w.toml:2:8: invalid UTF-8`},
		"too large":                {"#" + strings.Repeat("x", MaxFile), `w.toml:1:1: the file is larger than the 1048576 bytes`},
		"url of a container":       {"image = \"x\"\nurl = \"https://x\"", `w.toml:2:7: url: a container workspace has no url`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode("w", "w.toml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			var place *FileError
			if !errors.As(err, &place) || place.Line < 1 || place.Column < 1 {
				t.Errorf("the error has no place: %#v", err)
			}
		})
	}
}

func TestAllErrorsOfAFileAreReported(t *testing.T) {
	_, err := Decode("w", "w.toml", []byte("colour = 1\nenabled = \"yes\"\n[run]\nopne = 2\n"))
	for _, want := range []string{"w.toml:1:1:", "w.toml:2:11:", "w.toml:4:1:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in: %v", want, err)
		}
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "firefox-1.16.0_x", "0", strings.Repeat("a", 128)} {
		if err := ValidName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "A", "-a", ".a", "a/b", "..", "a b", "é", strings.Repeat("a", 129), "a\n"} {
		if ValidName(name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestParseAssignment(t *testing.T) {
	for in, want := range map[string]any{
		"image=x=y": "x=y", "enabled=false": false, "resources.cpus=1.5": 1.5, "friendly_name=": "",
		`categories=["a", "b"]`: []string{"a", "b"}, "categories=": nil, "categories=[]": []string{},
		`run.environment={ A = "b" }`: map[string]string{"A": "b"}, "run.environment=": nil, "run.environment={}": map[string]string{},
		" image =x": "x", "categories=[\"a\",\n\"b\"] # c": []string{"a", "b"}, "lifetime.limit=90m": "90m",
		"snapshot.created=2026-11-23T20:00:00Z": time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC),
	} {
		if e, err := ParseAssignment(in); err != nil || !equal(e.Value, want) {
			t.Errorf("%s: got %#v, %v", in, e.Value, err)
		}
	}
	for in, want := range map[string]string{
		"image": "no KEY=VALUE", "imgae=x": `did you mean "image"`, "resources=x": "unknown key", "enabled=yes": "enabled must be true or false",
		"resources.cpus=two": "a number", "categories=a": "a list of strings, such as", `categories=["a", 1]`: "a list of strings",
		"resources.cpus=nan": "a number", "lifetime.limit=0s": "leave the key out", "icon=\xff": "icon is not UTF-8 text",
		"categories=[\"a\"]\nimage = \"y\"": "a list of strings", "run.environment={}\n[run]": "a table of strings", "=x": "unknown key",
		"run.environment=A": "a table of strings", "snapshot.created=now": "a date and time",
	} {
		if _, err := ParseAssignment(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	if _, err := ParseUnset("colour"); err == nil {
		t.Error("an unknown key can be unset")
	}
	if !slices.Contains(Keys(), "resources.memory") || slices.Contains(Keys(), "resources") {
		t.Errorf("keys: %v", Keys())
	}
}

func TestEachErrorOfAFileIsReportedOnceAndInOrder(t *testing.T) {
	for text, want := range map[string][]string{
		"colour = 1\nenabled = \"yes\"\npull = \"often\"\n[run]\nports = [\"http\", \"x\"]\n[lifetime]\nlimit = \"0s\"\nidle = \"-1h\"\n": {
			"1:1: unknown", "2:11: enabled", "3:8: pull", "5:9: run.ports", "5:9: run.ports", "7:9: lifetime.limit", "8:8: lifetime.idle",
		},
		"[a.b]\nx = 1\n[a.b.c]\ny = 1\n": {"1:2: unknown"},
		"imgae = \"x\"":                  {"1:1: unknown"},
		"type = 1\nurl = \"x\"":          {"1:8: type must be"},
		"run = 1\npull = \"x\"":          {"1:7: run must be", "2:8: pull"},
		"[image]\nx = 1":                 {"1:2: image must be"},
	} {
		_, err := Decode("w", "w.toml", []byte(text))
		if err == nil {
			t.Errorf("%q is accepted", text)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if !slices.EqualFunc(lines, want, func(line, want string) bool { return strings.HasPrefix(line, "w.toml:"+want) }) {
			t.Errorf("%q gives:\n%v\nwant:\n%s", text, err, strings.Join(want, "\n"))
		}
	}
}

func TestEveryWayOfWritingIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"tables":          "image = \"x\"\n[run.environment]\nA = \"b\"\n[resources]\nmemory = \"1g\"\n",
		"dotted":          "image = \"x\"\nrun.environment.A = \"b\"\nresources.memory = \"1g\"",
		"inline":          "image = \"x\"\nrun = { environment.A = \"b\" }\nresources = {\n memory = \"1g\", # c\n}",
		"quoted":          "'image' = 'x'\n[\"run\".\"environment\"]\n\"A\" = 'b'\n['resources']\nmemory = \"1g\"",
		"DOS":             "\xef\xbb\xbfimage = \"x\"\r\n[run.environment]\r\nA = \"b\"\r\n[resources]\r\nmemory = \"1g\"\r\n",
		"empty snapshot":  "image = \"x\"\nrun.environment.A = \"b\"\nresources.memory = \"1g\"\n[snapshot]",
		"the largest one": "image = \"x\"\nrun.environment.A = \"b\"\nresources.memory = \"1g\"\n#" + strings.Repeat("x", MaxFile-66),
	} {
		want := &Workspace{
			Name: "w", Path: "f", Type: TypeContainer, Image: "x", Enabled: true, Pull: PullMissing,
			Resources: Resources{Memory: "1g"}, Run: Run{Environment: map[string]string{"A": "b"}}, Revision: revision([]byte(text)),
		}
		if got, err := Decode("w", "f", []byte(text)); err != nil || !equal(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

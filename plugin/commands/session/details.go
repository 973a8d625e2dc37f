package session

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/command/formatter"
	"github.com/docker/cli/cli/command/formatter/tabwriter"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"

	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// writeDetails prints d for people: a line a fact, only the facts there are.
func writeDetails(out io.Writer, d details) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", key, display.Line(value))
		}
	}
	line("Context", d.Context)
	line("Name", d.Name)
	line("Container ID", formatter.TruncateID(d.ID))
	line("Kind", kindText(d.Kind))
	if d.ID == "" {
		line("Session ID", d.SessionID)
	}
	line("Workspace", workspaceText(d.Details))
	line("User", d.User)
	line("Image", imageText(d.Details))
	line("State", stateText(d.Details))
	line("Created", ago(d.Created))
	line("Expires", expiryText(d.Expires))
	line("When it stops", map[bool]string{true: "it is deleted"}[d.Remove])
	line("Address", d.Address)
	if d.Login != "" {
		line("Login", d.Login+", with the password "+passwordText(d.Details))
	}
	if d.State == session.Running || d.State == session.Paused {
		line("Memory", memoryText(d.Details))
		line("Processor time", d.CPUTime.Round(time.Millisecond).String())
		line("Processes", fmt.Sprint(d.Processes))
	}
	if d.SizeRw >= 0 {
		line("Written to disk", units.HumanSizeWithPrecision(float64(d.SizeRw), 3))
	}
	lines := func(key string, values []string) {
		for i, v := range values {
			if i == 0 {
				line(key, v)
				continue
			}
			fmt.Fprintf(w, "\t%s\n", display.Line(v))
		}
	}
	lines("Mounts", mounts(d.Details))
	lines("Environment", environment(d.Details))
	line("Can be done", verbs(d.Allowed))
	if err := w.Flush(); err != nil {
		return err
	}
	if len(d.LastLog) > 0 {
		fmt.Fprintln(out, "Last lines of its log:")
		for _, l := range d.LastLog {
			fmt.Fprintf(out, "  %s\n", strings.ReplaceAll(display.Line(l), `\u000d`, ""))
		}
	}
	return nil
}

func kindText(k session.Kind) string {
	switch k {
	case session.Managed:
		return "managed"
	case session.Agent:
		return "managed by Kasm"
	case session.Image:
		return "started by hand from a Kasm image"
	case session.Adopted:
		return "adopted"
	case session.Server:
		return "session of a server workspace"
	case session.Plain:
	}
	return string(k)
}

func workspaceText(d session.Details) string {
	if d.ByImage != "" {
		return fmt.Sprintf("%s (%q, which has its image)", d.Workspace, d.ByImage)
	}
	return d.Workspace
}

func imageText(d session.Details) string {
	if d.Image == "" {
		return ""
	}
	if strings.HasPrefix(d.Image, "sha256:") {
		return formatter.TruncateID(d.Image)
	}
	return fmt.Sprintf("%s (%s)", d.Image, formatter.TruncateID(d.ImageID))
}

func stateText(d session.Details) string {
	text := string(d.State)
	if d.State == session.Failed || d.State == session.Stopped && d.ExitCode != 0 {
		text += fmt.Sprintf(", exit code %d", d.ExitCode)
	}
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	if !d.Since.IsZero() {
		text += ", since " + ago(d.Since)
	}
	return text
}

func ago(t time.Time) string {
	return fmt.Sprintf("%s ago (%s)", units.HumanDuration(time.Since(t)), t.Local().Format("2006-01-02 15:04:05"))
}

func expiryText(t time.Time) string {
	switch left := time.Until(t); {
	case t.IsZero():
		return ""
	case left < 0:
		return ago(t)
	default:
		return fmt.Sprintf("in %s (%s)", units.HumanDuration(left), t.Local().Format("2006-01-02 15:04:05"))
	}
}

func memoryText(d session.Details) string {
	used := units.BytesSize(float64(d.Memory))
	if d.MemoryLimit == 0 {
		return used
	}
	return used + " of " + units.BytesSize(float64(d.MemoryLimit))
}

func mounts(d session.Details) []string {
	var out []string
	for _, m := range d.Mounts {
		source := m.Source
		if m.Type == mount.TypeVolume {
			source = m.Name
		}
		mode := ""
		if !m.RW {
			mode = ", read-only"
		}
		out = append(out, fmt.Sprintf("%s (%s %s%s)", m.Destination, m.Type, source, mode))
	}
	for _, path := range slices.Sorted(maps.Keys(d.Tmpfs)) {
		out = append(out, path+" (tmpfs)")
	}
	return out
}

func environment(d session.Details) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(d.Environment)) {
		out = append(out, name+"="+d.Environment[name])
	}
	return out
}

func passwordText(d session.Details) string {
	password, given := d.Environment[session.PasswordVariable]
	switch {
	case !given:
		return "of its image"
	case password == session.Hidden:
		return "that --show-secrets shows"
	}
	return password
}

func verbs(list []session.Verb) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

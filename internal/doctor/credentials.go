package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/config/configfile"
)

// Credentials tells whether the credential helpers that the docker CLI's
// configuration names are on the PATH and answer. They are asked for names only.
func Credentials(file *configfile.ConfigFile) Check {
	return Check{"credentials", func(ctx context.Context) []Finding {
		uses := map[string]string{}
		if file.CredentialsStore != "" {
			uses[file.CredentialsStore] = "all registries"
		}
		for _, host := range slices.Sorted(maps.Keys(file.CredentialHelpers)) {
			name := file.CredentialHelpers[host]
			if name != file.CredentialsStore {
				uses[name] = strings.TrimPrefix(uses[name]+", "+host, ", ")
			}
		}
		if len(uses) == 0 {
			return ok("no credential helper is set up: `docker login` keeps passwords in %s", file.GetFilename())
		}
		names := slices.Sorted(maps.Keys(uses))
		found := make([][]Finding, len(names))
		var all sync.WaitGroup
		for i, name := range names {
			all.Go(func() { found[i] = credentialHelper(ctx, name, uses[name]) })
		}
		all.Wait()
		return slices.Concat(found...)
	}}
}

func credentialHelper(ctx context.Context, name, of string) []Finding {
	program := "docker-credential-" + name
	path, err := exec.LookPath(program)
	if err != nil {
		return failed("install it, or take it out of the docker CLI's configuration", "%s, for %s, is not on the PATH", program, of)
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "list") //nolint:gosec // the docker CLI runs it too
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(""), &out, &errOut, time.Second
	err = cmd.Run()
	const advice = "unlock the store that it asks, and see what it says: "
	var listed map[string]string
	switch {
	case ctx.Err() != nil:
		return failed(advice+program+" list", "%s, for %s, does not answer: it may wait for somebody to unlock it", program, of)
	case err != nil:
		// Names may be all that it can not do: pushes and pulls do not need them.
		return warning(advice+program+" list", "%s, for %s, fails: %s", program, of, complaint(err, out.String(), errOut.String()))
	case json.Unmarshal(out.Bytes(), &listed) != nil:
		return warning("see that it is a credential helper", "%s, for %s, answers with what is no list", program, of)
	}
	return ok("%s, for %s, answers", program, of)
}

// complaint is the first line of what a program has said, which is about names and
// holds no secrets.
func complaint(err error, said ...string) string {
	var exit *exec.ExitError
	for _, text := range said {
		line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
		if line != "" && errors.As(err, &exit) {
			const longest = 200
			if runes := []rune(line); len(runes) > longest {
				line = string(runes[:longest]) + "…"
			}
			return fmt.Sprintf("%s (%s)", line, err)
		}
	}
	return err.Error()
}

package change

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Apply returns the config that an engine makes of cfg with the changes of s,
// before it fills in from the container what that leaves empty. Cfg is the
// config the commit starts from: its Env is what variables expand to, its
// WorkingDir what a relative WORKDIR is joined to, its Shell what the shell
// forms are run with. Cfg itself is not altered.
//
// The rules are those of moby's builder/dockerfile/dispatchers.go for Linux
// containers. Engine 20.10 differs from them in two ways, seen on 20.10.24: it
// keeps an absolute WORKDIR as written where later engines clean it ("/a//b/"
// to "/a/b"), so compare working directories cleaned; and of the modifiers in
// ${NAME…} it knows :-, :+ and :? only and refuses the commit over others.
//
// Errors name the instruction and say what became wrong with its argument once
// variables were expanded; an engine refuses such a commit too, apart from
// empty users and users of several words, which it would write into the image.
func (s Set) Apply(cfg container.Config) (container.Config, error) {
	st := state{cfg: clone(cfg)}
	for _, c := range s {
		if err := st.apply(c); err != nil {
			return container.Config{}, fmt.Errorf("%s: %w", c.Source, refuse(c.Kind, c.Line, err.Error()))
		}
	}
	return st.cfg, nil
}

func clone(cfg container.Config) container.Config {
	cfg.Env = slices.Clone(cfg.Env)
	cfg.Cmd = slices.Clone(cfg.Cmd)
	cfg.Entrypoint = slices.Clone(cfg.Entrypoint)
	cfg.OnBuild = slices.Clone(cfg.OnBuild)
	cfg.Shell = slices.Clone(cfg.Shell)
	cfg.Labels = maps.Clone(cfg.Labels)
	cfg.Volumes = maps.Clone(cfg.Volumes)
	cfg.ExposedPorts = maps.Clone(cfg.ExposedPorts)
	return cfg
}

type state struct {
	cfg container.Config
	// cmdSet is true once a CMD with words was met: an ENTRYPOINT before
	// it throws away the session's command, one after it leaves it alone.
	cmdSet bool
}

func (st *state) apply(c Change) error {
	node, err := parseLine(c.Line)
	if err != nil {
		return err
	}
	cmd, err := instructions.ParseCommand(node)
	if err != nil {
		return err
	}
	// Variables have the values they had before this instruction, also in
	// the second assignment of ENV A=1 B=$A.
	env := newEnvironment(st.cfg.Env)
	if x, ok := cmd.(instructions.SupportsSingleWordExpansion); ok {
		err := x.Expand(func(word string) (string, error) {
			plain, _, err := newLexer().ProcessWord(word, env)
			return plain, err
		})
		if err != nil {
			return err
		}
	}
	switch cmd := cmd.(type) {
	case *instructions.CmdCommand:
		st.cfg.Cmd = st.commandLine(cmd.ShellDependantCmdLine)
		st.cmdSet = st.cmdSet || len(cmd.CmdLine) > 0
	case *instructions.EntrypointCommand:
		st.cfg.Entrypoint = st.commandLine(cmd.ShellDependantCmdLine)
		if !st.cmdSet {
			st.cfg.Cmd = nil
		}
	case *instructions.EnvCommand:
		for _, kv := range cmd.Env {
			st.setEnv(kv.Key, kv.Value)
		}
	case *instructions.LabelCommand:
		if st.cfg.Labels == nil {
			st.cfg.Labels = map[string]string{}
		}
		for _, kv := range cmd.Labels {
			st.cfg.Labels[kv.Key] = kv.Value
		}
	case *instructions.ExposeCommand:
		return st.expose(cmd.Ports, env)
	case *instructions.OnbuildCommand:
		st.cfg.OnBuild = append(st.cfg.OnBuild, cmd.Expression)
	case *instructions.UserCommand:
		st.cfg.User = cmd.User
		return goodUser(cmd.User)
	case *instructions.VolumeCommand:
		return st.volumes(cmd.Volumes)
	case *instructions.WorkdirCommand:
		return st.workdir(cmd.Path)
	default:
		return fmt.Errorf("%s is not allowed in a change", c.Kind)
	}
	return nil
}

// commandLine gives the words of a command, with the shell before the shell
// form. Engines no longer mark words as escaped on Linux, and old images that
// have the mark lose it here.
func (st *state) commandLine(line instructions.ShellDependantCmdLine) []string {
	st.cfg.ArgsEscaped = false
	words := []string{}
	if line.PrependShell {
		words = append(words, "/bin/sh", "-c")
		if len(st.cfg.Shell) > 0 {
			words = slices.Clone(st.cfg.Shell)
		}
	}
	return append(words, line.CmdLine...)
}

// setEnv replaces the first entry of that name, or adds one at the end.
func (st *state) setEnv(name, value string) {
	entry := name + "=" + value
	i := slices.IndexFunc(st.cfg.Env, func(e string) bool {
		have, _, _ := strings.Cut(e, "=")
		return have == name
	})
	if i < 0 {
		st.cfg.Env = append(st.cfg.Env, entry)
		return
	}
	st.cfg.Env[i] = entry
}

func (st *state) expose(words []string, env environment) error {
	for _, word := range words {
		exposed, err := ports(word, env)
		if err != nil {
			return err
		}
		if st.cfg.ExposedPorts == nil && len(exposed) > 0 {
			st.cfg.ExposedPorts = nat.PortSet{}
		}
		for _, port := range exposed {
			st.cfg.ExposedPorts[port] = struct{}{}
		}
	}
	return nil
}

func (st *state) volumes(paths []string) error {
	if st.cfg.Volumes == nil {
		st.cfg.Volumes = map[string]struct{}{}
	}
	for _, p := range paths {
		if err := goodPath(p); err != nil {
			return err
		}
		st.cfg.Volumes[p] = struct{}{}
	}
	return nil
}

func (st *state) workdir(dir string) error {
	if err := goodPath(dir); err != nil {
		return err
	}
	if path.IsAbs(dir) {
		st.cfg.WorkingDir = path.Clean(dir)
	} else {
		st.cfg.WorkingDir = path.Join("/", st.cfg.WorkingDir, dir)
	}
	return nil
}

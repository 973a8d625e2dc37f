package diff

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// measurer reads sizes in a session: by one command in it where it runs and has
// the command, else path by path through the engine's archive API, which takes
// about a millisecond each and therefore not more than a given time.
type measurer struct {
	api     API
	session session.Session
	// inside is set where commands may be run in the session.
	inside bool
}

// file is what is known of one path.
type file struct {
	mode  os.FileMode
	size  int64
	links int
	inode string
}

func (m measurer) measure(ctx context.Context, changes []container.FilesystemChange, budget time.Duration) ([]entry, error) {
	ctx2, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	entries := make([]entry, 0, len(changes))
	var paths []string
	for _, c := range changes {
		e := entry{path: c.Path, kind: kindOf(c.Kind), size: Unknown}
		if e.kind == Deleted {
			e.size = 0
		} else {
			paths = append(paths, c.Path)
		}
		entries = append(entries, e)
	}
	found, err := m.statInside(ctx2, paths)
	if err != nil && ctx2.Err() == nil {
		return nil, err
	}
	if err := m.statOutside(ctx2, remaining(paths, found), found); err != nil && ctx2.Err() == nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	apply(entries, found)
	return entries, nil
}

// apply takes over what was found. A directory has no size; of a file with
// several names only the first is counted.
func apply(entries []entry, found map[string]file) {
	parents := map[string]bool{}
	for _, e := range entries {
		for dir := path.Dir(e.path); !parents[dir] && dir != "/"; dir = path.Dir(dir) {
			parents[dir] = true
		}
	}
	counted := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		f, ok := found[e.path]
		switch {
		case e.kind == Deleted:
		case !ok:
			// What has something below it is a directory for certain.
			if e.dir = parents[e.path]; e.dir {
				e.size = 0
			}
		case f.mode.IsDir():
			e.dir, e.size = true, 0
		case f.mode&os.ModeSocket != 0:
			e.socket, e.size = true, 0
		case f.links > 1 && counted[f.inode]:
			e.size = 0
		default:
			e.size = f.size
			if f.links > 1 {
				counted[f.inode] = true
			}
		}
	}
}

// remaining are the paths that were not found. Those with few beside them come
// first: a large file mostly stands among few.
func remaining(paths []string, found map[string]file) []string {
	beside := map[string]int{}
	var out []string
	for _, p := range paths {
		if _, ok := found[p]; !ok {
			out = append(out, p)
			beside[path.Dir(p)]++
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(beside[path.Dir(a)], beside[path.Dir(b)]) })
	return out
}

// statInside has one command in the session read all sizes. A session that does
// not run, or lacks the command, leaves the map empty.
func (m measurer) statInside(ctx context.Context, paths []string) (map[string]file, error) {
	found := make(map[string]file, len(paths))
	if !m.inside || len(paths) == 0 {
		return found, nil
	}
	var input bytes.Buffer
	wanted := make(map[string]bool, len(paths))
	for _, p := range paths {
		// A line of the answer is one path.
		if !strings.Contains(p, "\n") {
			input.WriteString(p)
			input.WriteByte(0)
			wanted[p] = true
		}
	}
	err := m.exec(ctx, []string{"xargs", "-0", "stat", "-c", "%f %s %h %i %n"}, &input, func(line string) {
		if p, f, ok := parseStat(line); ok && wanted[p] {
			found[p] = f
		}
	})
	return found, err
}

// parseStat reads a line of stat -c '%f %s %h %i %n'.
func parseStat(line string) (string, file, bool) {
	parts := strings.SplitN(line, " ", 5)
	if len(parts) != 5 {
		return "", file{}, false
	}
	mode, err1 := strconv.ParseUint(parts[0], 16, 32)
	size, err2 := strconv.ParseInt(parts[1], 10, 64)
	links, err3 := strconv.Atoi(parts[2])
	if errors.Join(err1, err2, err3) != nil || size < 0 {
		return "", file{}, false
	}
	f := file{size: size, links: links, inode: parts[3]}
	// The file types of inode(7).
	switch mode & 0o170000 {
	case 0o040000:
		f.mode = os.ModeDir
	case 0o140000:
		f.mode = os.ModeSocket
	}
	return parts[4], f, true
}

// exec runs a command as root in the session and hands each line it prints to
// line. A command that is not there prints none.
func (m measurer) exec(ctx context.Context, command []string, input io.Reader, line func(string)) error {
	created, err := m.api.ContainerExecCreate(ctx, m.session.ID, container.ExecOptions{
		Cmd: command, User: "0", AttachStdin: input != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		if cerrdefs.IsConflict(err) {
			return nil // it was paused or stopped meanwhile
		}
		return fmt.Errorf("read sizes in session %q: %w", m.session.Name, err)
	}
	conn, err := m.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		// Engines refuse a command that is not there in several ways.
		return ctx.Err()
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	if input != nil {
		go func() {
			// A command that ends early reads no further.
			_, _ = io.Copy(conn.Conn, input)
			_ = conn.CloseWrite()
		}()
	}
	out, in := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(in, io.Discard, conn.Reader)
		in.CloseWithError(err)
	}()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line(lines.Text())
	}
	// What was read stands, however the command ended.
	return ctx.Err()
}

// atOnce is how many paths the engine is asked for in parallel.
const atOnce = 8

func (m measurer) statOutside(ctx context.Context, paths []string, found map[string]file) error {
	next := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(atOnce, len(paths)) {
		wg.Go(func() {
			for p := range next {
				stat, err := m.api.ContainerStatPath(ctx, m.session.ID, p)
				mu.Lock()
				switch {
				case err == nil:
					found[p] = file{mode: stat.Mode, size: stat.Size, links: 1}
				case !cerrdefs.IsNotFound(err) && failed == nil:
					failed = fmt.Errorf("read the size of %s in session %q: %w", p, m.session.Name, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range paths {
		mu.Lock()
		stop := failed != nil
		mu.Unlock()
		if stop || ctx.Err() != nil {
			break
		}
		next <- p
	}
	close(next)
	wg.Wait()
	return failed
}

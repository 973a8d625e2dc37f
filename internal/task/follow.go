package task

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"
)

// The most progress that is kept of a task: parts, and bytes of one.
const (
	maxParts    = 256
	maxProgress = 16 << 10
)

// progress has the last line of each part.
type progress struct {
	parts map[string]part
	// last numbers the lines, on through all attempts.
	last uint64
}

type part struct {
	number uint64
	line   Line
}

func (p *progress) set(name string, line Line) bool {
	if _, known := p.parts[name]; !known && len(p.parts) >= maxParts {
		return false
	}
	if p.parts == nil {
		p.parts = map[string]part{}
	}
	p.last++
	p.parts[name] = part{p.last, line}
	return true
}

// since returns the lines after the one numbered seen, in their order.
func (p *progress) since(seen uint64) []Line {
	if p.last == seen {
		return nil
	}
	var news []part
	for _, one := range p.parts {
		if one.number > seen {
			news = append(news, one)
		}
	}
	slices.SortFunc(news, func(a, b part) int { return cmp.Compare(a.number, b.number) })
	lines := make([]Line, len(news))
	for i, one := range news {
		lines[i] = one.line
	}
	return lines
}

// Logs returns the lines of a task's log, of all its attempts. With follow they
// go on, with progress between them, until the task has ended: one that waits has
// not. Who reads them slowly holds up nobody: lines wait on disk, and of progress
// only the last is given. The lines end with an error when ctx or the store does.
func (s *Store) Logs(ctx context.Context, id string, follow bool) (iter.Seq2[Line, error], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return func(yield func(Line, error) bool) { s.follow(ctx, e, follow, yield) }, nil
}

func (s *Store) follow(ctx context.Context, e *entry, follow bool, yield func(Line, error) bool) {
	reader := logReader{path: s.journal.path(e.log.name)}
	defer reader.close()
	s.mu.Lock()
	e.followers++
	s.mu.Unlock()
	defer s.leave(e)
	var seen uint64
	for {
		// What happens after this look wakes; what happened before is on disk.
		s.mu.Lock()
		changed, live, closed := e.changed, !e.task.State.Ended() && !e.gone, s.closed
		s.mu.Unlock()
		for ctx.Err() == nil {
			line, err := reader.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				yield(Line{}, fmt.Errorf("read the log of task %s: %w", e.id, err))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
		if ctx.Err() != nil {
			yield(Line{}, context.Cause(ctx))
			return
		}
		if !follow {
			return
		}
		s.mu.Lock()
		lines := e.progress.since(seen)
		seen = e.progress.last
		s.mu.Unlock()
		for _, line := range lines {
			if !yield(line, nil) {
				return
			}
		}
		if !live {
			return
		}
		if closed {
			yield(Line{}, ErrClosed)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			yield(Line{}, context.Cause(ctx))
			return
		}
	}
}

func (s *Store) leave(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.followers--; e.followers == 0 && e.task.State.Ended() {
		e.progress.parts = nil
	}
}

// logReader reads the whole lines of a log that may still grow.
type logReader struct {
	path string
	file *os.File
	r    *bufio.Reader
	// part is the beginning of a line, long is set if it is too long to be kept.
	part []byte
	long bool
	last time.Time
}

const unreadable = "a line of this log cannot be read"

// next returns the next line, io.EOF if there is none yet.
func (l *logReader) next() (Line, error) {
	if l.file == nil {
		f, err := os.Open(l.path)
		if errors.Is(err, fs.ErrNotExist) {
			return Line{}, io.EOF // nothing was logged
		}
		if err != nil {
			return Line{}, err
		}
		l.file, l.r = f, bufio.NewReaderSize(f, 64<<10)
	}
	for {
		data, err := l.r.ReadSlice('\n')
		if l.long = l.long || len(l.part)+len(data) > maxLine; !l.long {
			l.part = append(l.part, data...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return Line{}, err
		}
		line, err := decodeLine(l.part)
		if l.long || err != nil {
			line = Line{Time: l.last, Level: Warning, Message: unreadable}
		}
		l.part, l.long, l.last = l.part[:0], false, line.Time
		return line, nil
	}
}

func (l *logReader) close() {
	if l.file != nil {
		_ = l.file.Close() // it was only read
	}
}

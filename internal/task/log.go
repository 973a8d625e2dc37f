package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Level says what a line of a log is.
type Level string

// The levels. Begins tells that the line's step begins and has no message;
// Progress lines are given to followers only and are in no file.
const (
	Begins   Level = "begins"
	Info     Level = "info"
	Warning  Level = "warning"
	Error    Level = "error"
	Progress Level = "progress"
)

// Line is one entry of a task's log. Its message is data: it may have several
// lines and control characters, and whoever prints it must quote them.
type Line struct {
	Time    time.Time `json:"Time"`
	Step    string    `json:"Step,omitempty"`
	Level   Level     `json:"Level"`
	Message string    `json:"Message,omitempty"`
	// Part and Progress are those of Run.Progress.
	Part     string          `json:"Part,omitempty"`
	Progress json.RawMessage `json:"Progress,omitempty"`
}

const (
	// maxMessage bounds what is kept of one message, in bytes.
	maxMessage = 32 << 10
	// maxLine is more than a line comes to whose message is all escaped.
	maxLine = 1 << 20
	// reserved is the part of a log that only the runner's own lines may fill,
	// one in so many bytes: which steps were run and how it ended is not lost to
	// what was said before.
	reserved = 16
)

// decodeLine reads one line of a log's file.
func decodeLine(data []byte) (Line, error) {
	var l Line
	if err := json.Unmarshal(data, &l); err != nil {
		return Line{}, err
	}
	switch l.Level {
	case Begins, Info, Warning, Error:
	default:
		return Line{}, fmt.Errorf("no level of a log is called %q", l.Level)
	}
	if l.Part != "" || l.Progress != nil {
		return Line{}, errors.New("progress is kept in no log")
	}
	return l, nil
}

// taskLog appends to the log of one task. It is opened by its first line, and
// again by the first after close.
type taskLog struct {
	journal *journal
	name    string
	// most is the size in bytes that it may grow to.
	most int64

	mu   sync.Mutex
	file *os.File
	size int64
	// full is set once a line was dropped, torn while the last one is not whole.
	full, torn bool
}

// append writes a line, if there is room. own marks the runner's.
func (l *taskLog) append(line Line, own bool) error {
	line.Message = shorten(strings.ToValidUTF8(line.Message, "\uFFFD"))
	data, err := marshal(line)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(); err != nil {
		return err
	}
	room := l.most - l.size
	if !own {
		room -= l.most / reserved
	}
	if int64(len(data)) <= room && (own || !l.full) {
		return l.write(data)
	}
	if l.full {
		return nil
	}
	l.full = true
	data, err = marshal(Line{Time: line.Time, Step: line.Step, Level: Warning, Message: fullNote})
	if err != nil || l.size+int64(len(data)) > l.most {
		return err
	}
	return l.write(data)
}

const fullNote = "the log is full: what follows is not kept, but for steps and the end"

// write puts data at the end in one call, so that a kill cuts no other line. A
// line that was cut short must not swallow the next one.
func (l *taskLog) write(data []byte) error {
	if l.torn {
		data = append([]byte("\n"), data...)
	}
	return l.journal.change("append", l.name, func() error {
		n, err := l.file.Write(data)
		l.size += int64(n)
		l.torn = n < len(data) && (n > 0 || l.torn)
		return err
	})
}

func (l *taskLog) open() error {
	if l.file != nil {
		return nil
	}
	var f *os.File
	err := l.journal.change("open", l.name, func() (err error) {
		f, err = os.OpenFile(l.journal.path(l.name), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		l.file, l.size = f, info.Size()
		l.full = l.size > l.most-l.most/reserved
		if last := make([]byte, 1); l.size > 0 {
			_, err = f.ReadAt(last, l.size-1)
			l.torn = last[0] != '\n'
		}
	}
	if err != nil {
		l.file = nil
		return errors.Join(err, f.Close())
	}
	return nil
}

// close makes all lines last through a power cut.
func (l *taskLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return errors.Join(f.Sync(), f.Close())
}

// shorten keeps the head of a long message, cut between two characters.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage-len("…")], "") + "…"
}

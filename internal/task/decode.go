package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// format is the version of the files. One that is newer is not guessed at.
const format = 1

// maxFile is more than the parts of a task can come to.
const maxFile = 4 << 20

// file is what is in a task's file.
type file struct {
	Format int `json:"Format"`
	Task
}

// encode returns the text of a task's file.
func encode(t Task) ([]byte, error) { return marshal(file{format, t}) }

// marshal is json.Marshal that leaves raw JSON as it is, and ends with a newline.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return out.Bytes(), err
}

// decode reads the text of the file of the task id.
func decode(id string, data []byte) (Task, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return Task{}, err
	}
	if f.Format != format {
		return Task{}, fmt.Errorf("format %d is not that of this helper, which is %d", f.Format, format)
	}
	if f.ID != id || !ValidID(id) {
		return Task{}, fmt.Errorf("task %q does not belong into this file", f.ID)
	}
	return f.Task, f.check()
}

// check finds what no helper would have written.
func (t *Task) check() error {
	if !kindForm.MatchString(t.Kind) {
		return fmt.Errorf("no kind of task is called %q", t.Kind)
	}
	var errs []error
	for _, f := range []struct{ what, text string }{
		{"the subject", t.Subject}, {"the key", t.Key}, {"the owner", t.Owner}, {"the step", t.Step},
	} {
		errs = append(errs, checkText(f.what, f.text))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.Reason = oneLine(t.Reason)
	var err error
	for _, f := range []struct {
		what string
		data *json.RawMessage
		most int
	}{{"the request", &t.Request, maxRequest}, {"the result", &t.Result, maxData}, {"the checkpoint", &t.Checkpoint, maxData}} {
		if *f.data, err = compact(f.what, *f.data, f.most); err != nil {
			return err
		}
	}
	switch {
	case t.Attempts < 0:
		return fmt.Errorf("it was begun %d times", t.Attempts)
	case t.Created.IsZero() || t.Queued.IsZero():
		return errors.New("the time when it was made is missing")
	}
	switch t.State {
	case Queued, Running, Waiting:
		if !t.Ended.IsZero() {
			return fmt.Errorf("it is %s, but has ended", t.State)
		}
		return nil
	case Done, Failed, Cancelled, Interrupted:
		if t.Ended.IsZero() {
			return fmt.Errorf("it is %s, but has not ended", t.State)
		}
		return nil
	}
	return fmt.Errorf("no state of a task is called %q", t.State)
}

package e2e

import (
	"context"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// busy launches a session that counts, on its disk first and then on its volume,
// and that has a volume without a name. Its first process counts: others go on for a
// while when that is killed.
func (v *victim) busy(t *testing.T) {
	t.Helper()
	v.docker(t, "rm", "-f", v.name)
	v.docker(t, append(append([]string{"run", "-d"}, managed(v.name)...), "-v", v.name+":"+mountAt, "-v", "/scratch", baseImage, "sh", "-c", `i=0
while :; do
	i=$((i+1))
	for dir in "" `+mountAt+`; do echo $i >$dir/count.new; mv $dir/count.new $dir/count; done
done`)...)
	v.write(t, "/big", 30)
}

// TestSessionDeletedWithASnapshotLosesNothing deletes a session that writes all
// the time: what is on its volume at the end was written after what is in the
// image.
func TestSessionDeletedWithASnapshotLosesNothing(t *testing.T) {
	const name = "e2edelete"
	v, _ := twoMachines(t, name)
	v.busy(t)
	out, err := v.user.kasm("rm", "-f", "--snapshot", name)
	kept := regexp.MustCompile(`kept as (\S+), workspace`).FindStringSubmatch(out)
	volume := regexp.MustCompile(`kept: the content of /scratch, volume ([0-9a-f]{64});`).FindStringSubmatch(out)
	if err != nil || kept == nil || volume == nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { v.docker(t, "rmi", "-f", kept[1]) })
	v.docker(t, "volume", "rm", volume[1])
	counts := strings.Fields(v.docker(t, "run", "--rm", "-v", name+":"+mountAt, kept[1], "cat", "/count", mountAt+"/count"))
	inImage, _ := strconv.Atoi(counts[0])
	onVolume, _ := strconv.Atoi(counts[1])
	// What its first process has begun when it is killed may come to an end.
	if inImage == 0 || inImage < onVolume-3 {
		t.Errorf("the session had come to %d, and the image has %d", onVolume, inImage)
	}
	for _, w := range v.settle(t, settled, v.leftovers) {
		t.Error(w)
	}
}

// deletion deletes the session with a snapshot, does something as soon as it is
// held still, and returns all that was printed. Its image is not cleaned before that
// is done.
func (v *victim) deletion(t *testing.T, do func(rm *exec.Cmd)) (string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held, _ := v.api.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("container", v.name), filters.Arg("event", string(events.ActionPause)))})
	rm := command(v.plugin, "rm", "-f", "--snapshot", v.name)
	address, _, goOn := v.holding(t, http.MethodPost, "/images/load$")
	rm.Env = append(slices.Clip(v.user.env), "DOCKER_HOST="+address)
	go func() {
		select {
		case <-held:
			do(rm)
			goOn()
		case <-ctx.Done():
		}
	}()
	out, err := rm.CombinedOutput()
	return string(out), err
}

// TestSessionGoesOnWhereItsDeletionFails ends a deletion in its midst, by a
// signal that can be answered and by one that can not.
func TestSessionGoesOnWhereItsDeletionFails(t *testing.T) {
	const name = "e2edelete"
	v, _ := twoMachines(t, name)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		v.busy(t)
		out, err := v.deletion(t, func(rm *exec.Cmd) { _ = rm.Process.Signal(sig) })
		if err == nil {
			t.Fatalf("%s came too late: %s", sig, out)
		}
		for _, w := range v.settle(t, settled, v.runsOn) {
			t.Errorf("after %s: %s\n%s", sig, w, out)
		}
	}
}

// TestSessionThatSomebodyWentOnWithIsNotDeleted resumes a session behind the
// back of its deletion: what it then does is in no image.
func TestSessionThatSomebodyWentOnWithIsNotDeleted(t *testing.T) {
	const name = "e2edelete"
	v, _ := twoMachines(t, name)
	v.busy(t)
	out, err := v.deletion(t, func(*exec.Cmd) { _ = v.api.ContainerUnpause(t.Context(), name) })
	kept := regexp.MustCompile(`kept as (\S+), workspace`).FindStringSubmatch(out)
	if err == nil || kept == nil || !strings.Contains(out, "was resumed meanwhile") {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { v.docker(t, "rmi", "-f", kept[1]) })
	for _, w := range v.settle(t, settled, v.runsOn) {
		t.Errorf("%s\n%s", w, out)
	}
}

// runsOn lists what is wrong where a session should go on as if nothing had been.
func (v *victim) runsOn(ctx context.Context) []string {
	return append(v.leftovers(ctx), v.inState(ctx, session.Running)...)
}

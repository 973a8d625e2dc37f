package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// remote is a way to the engine from another machine.
type remote struct {
	// host is where it is found, and certificates the folder that it wants some of.
	host, certificates string
	// env is what a user sets for it.
	env []string
	api *client.Client
}

// TestHelperRemotes uses the helper over ssh, and over TCP with certificates.
func TestHelperRemotes(t *testing.T) {
	s := newSuite(t)
	if !strings.HasPrefix(s.host, "unix://") {
		t.Skip("the engine is remote already: " + s.host)
	}
	t.Cleanup(func() { cleanUp("e2eremote") })
	local := s.newHelper(t)
	for name, set := range map[string]func(*testing.T, suite) remote{"ssh": overSSH, "tls": overTLS} {
		t.Run(name, func(t *testing.T) {
			r := set(t, s)
			u := s.user(t)
			u.env = append(u.env, r.env...)
			if out := u.must(t, "helper", "install"); out != "the helper is there already" {
				t.Errorf("install: %s", out)
			}
			workspace := "e2eremote-" + name
			u.must(t, "workspace", "create", "--scope", "engine", "--image", baseImage, workspace)
			for _, who := range []user{u, local} {
				until(t, func() (bool, string) {
					out := who.must(t, "workspace", "ls", "--scope", "engine", "--format", "{{.Name}} {{.Availability}}")
					return strings.Contains(out, workspace+" available"), "workspace ls: " + out
				})
			}
			u.must(t, "run", "--name", workspace+".s", workspace)
			u.finish(t, u.begin(t, workspace+".s", workspace+":v1"), "done")
			s.noDials(t)
			s.oneConnection(t, r.api)
			s.killedWatcher(t, u, workspace)
		})
	}
}

// oneConnection asks for a lot at once, which all goes over one connection.
func (s suite) oneConnection(t *testing.T, api *client.Client) {
	t.Helper()
	const atOnce = 20
	helper := helperClient(t, api)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := make(chan struct{}, atOnce)
	var listeners, requests errgroup.Group
	for range atOnce {
		listeners.Go(func() error {
			for e, err := range helper.Events(ctx) {
				if err != nil {
					return err
				}
				if e.Type == helperapi.EventReady {
					ready <- struct{}{}
				}
			}
			return nil
		})
	}
	for i := range atOnce {
		select {
		case <-ready:
		case <-time.After(awaited):
			t.Fatalf("%d of %d listeners are ready", i, atOnce)
		}
	}
	for range atOnce {
		requests.Go(func() error {
			_, err := helper.Status(ctx)
			return err
		})
	}
	if err := requests.Wait(); err != nil {
		t.Errorf("requests at once: %v", err)
	}
	if pids := s.dials(t); len(pids) != 1 {
		t.Errorf("%d connections for %d streams: %v", len(pids), atOnce, pids)
	}
	cancel()
	_ = listeners.Wait() // the end of ctx
	if err := helper.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s.noDials(t)
}

// killedWatcher kills a command that listens to the helper.
func (s suite) killedWatcher(t *testing.T, u user, workspace string) {
	t.Helper()
	watch := exec.Command("docker", "kasm", "workspace", "ls", "--watch", "--scope", "engine")
	watch.Env, watch.SysProcAttr = u.env, &syscall.SysProcAttr{Setpgid: true}
	shown, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	killed := time.AfterFunc(awaited, func() { _ = syscall.Kill(-watch.Process.Pid, syscall.SIGKILL) })
	defer killed.Stop()
	var text strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(text.String(), workspace); {
		n, err := shown.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("the list is not shown: %v: %s", err, text.String())
		}
	}
	if len(s.dials(t)) == 0 {
		t.Error("the watcher has no connection")
	}
	if err := syscall.Kill(-watch.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = watch.Wait() // it was killed
	s.noDials(t)
}

// overSSH runs an ssh server of the test's own.
func overSSH(t *testing.T, s suite) remote {
	t.Helper()
	server, err := exec.LookPath("sshd")
	if err != nil {
		server = "/usr/sbin/sshd"
		if _, err := os.Stat(server); err != nil {
			t.Skip("no ssh server: apt-get install openssh-server, or run `make test`")
		}
	}
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if content != "" {
			if err := os.WriteFile(path, []byte(content), mode); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	for _, key := range []string{"host", "mine"} {
		if out, err := command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("make a key: %v\n%s", err, out)
		}
	}
	config := file("sshd_config", fmt.Sprintf(`HostKey %s/host
AuthorizedKeysFile %s/mine.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
SetEnv PATH=%s
`, dir, dir, os.Getenv("PATH")), 0o600)
	log, err := os.Create(file("sshd.log", "", 0))
	if err != nil {
		t.Fatal(err)
	}
	// The test has the port itself: one that was free, and is given to a server, can
	// be another's by then.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	go serveEach(l, log, server, "-i", "-e", "-f", config)
	t.Cleanup(func() {
		_ = l.Close()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the ssh server's log:\n%s", text)
		}
	})
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	file("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", port, public), 0o600)
	options := file("ssh_config", fmt.Sprintf("IdentityFile %s/mine\nIdentitiesOnly yes\nUserKnownHostsFile %s/known_hosts\nStrictHostKeyChecking yes\nBatchMode yes\n", dir, dir), 0o600)
	// The docker CLI runs the ssh that it finds on the PATH.
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("no ssh: apt-get install openssh-client, or run `make test`")
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	file("bin/ssh", fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", ssh, options), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	host := fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", me.Username, port, strings.TrimPrefix(s.host, "unix://"))
	way, err := connhelper.GetConnectionHelper(host)
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: &http.Transport{DialContext: way.Dialer}}),
		client.WithHost(way.Host), client.WithDialContext(way.Dialer), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return remote{host: host, env: []string{"DOCKER_HOST=" + host, "PATH=" + os.Getenv("PATH")}, api: api}
}

// serveEach runs a program for each connection that l takes, which is its input and
// output, as inetd does.
func serveEach(l net.Listener, log *os.File, name string, args ...string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		file, err := conn.(*net.TCPConn).File()
		_ = conn.Close() // file is another one of it
		if err != nil {
			return
		}
		server := exec.Command(name, args...)
		server.Stdin, server.Stdout, server.Stderr = file, file, log
		if err := server.Start(); err == nil {
			go func() { _ = server.Wait() }() // it ends with its connection
		}
		_ = file.Close()
	}
}

// overTLS runs a proxy to the engine's socket, which wants a certificate.
func overTLS(t *testing.T, s suite) remote {
	t.Helper()
	certificates := certify(t)
	server, err := tls.LoadX509KeyPair(filepath.Join(certificates, "server.pem"), filepath.Join(certificates, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(certificates, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go relayAll(l, strings.TrimPrefix(s.host, "unix://"))
	host := "tcp://" + l.Addr().String()
	// Without a certificate the proxy is closed.
	if anyone, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}); err == nil {
		_, err = anyone.Read(make([]byte, 1))
		_ = anyone.Close()
		if err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("a client without a certificate is not refused: %v", err)
		}
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation(), client.WithTLSClientConfig(
		filepath.Join(certificates, "ca.pem"), filepath.Join(certificates, "cert.pem"), filepath.Join(certificates, "key.pem")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return remote{host: host, certificates: certificates, env: []string{"DOCKER_HOST=" + host, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + certificates}, api: api}
}

// halfCloser is a connection of which either way can end by itself.
type halfCloser interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// relayAll carries each connection that l takes to an engine's socket.
func relayAll(l net.Listener, socket string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go relay(conn.(halfCloser), socket)
	}
}

// relay copies both ways until both have ended, and passes each end on.
func relay(conn halfCloser, socket string) {
	defer conn.Close()
	engine, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer engine.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(conn, engine)
		_ = conn.CloseWrite()
	}()
	_, _ = io.Copy(engine, conn)
	_ = engine.(*net.UnixConn).CloseWrite()
	<-done
}

// certify makes a folder with certificates as DOCKER_CERT_PATH has them, and those
// of a server on 127.0.0.1.
func certify(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
	}
	root := template(1, "root of the tests")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	rootKey := newKey(t)
	for i, c := range []struct{ name, cert, key string }{
		{"root", "ca.pem", ""}, {"server", "server.pem", "server-key.pem"}, {"client", "cert.pem", "key.pem"},
	} {
		key, cert := newKey(t), template(int64(i+1), c.name)
		if i == 0 {
			key, cert = rootKey, root
		}
		cert.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		der, err := x509.CreateCertificate(rand.Reader, cert, root, key.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		write(c.cert, "CERTIFICATE", der)
		if c.key == "" {
			continue
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(c.key, "PRIVATE KEY", private)
	}
	return dir
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

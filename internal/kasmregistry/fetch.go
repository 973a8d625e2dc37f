package kasmregistry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	listFile     = "list.json"
	timeout      = time.Minute
	maxRedirects = 5
)

// schemas are those that are understood, the newest first.
var schemas = []string{"1.1", "1.0"}

// Fetch reads the list of the registry at an address, which is that of its page or
// of a list.json.
func Fetch(ctx context.Context, address string) ([]Item, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no address of a registry", address)
	}
	if err := allowed(u); err != nil {
		return nil, err
	}
	u.Fragment = ""
	client := &http.Client{Timeout: timeout, CheckRedirect: checkRedirect}
	if strings.HasSuffix(u.Path, ".json") {
		items, _, err := fetch(ctx, client, u)
		return items, err
	}
	var errs []error
	for _, schema := range schemas {
		items, answered, err := fetch(ctx, client, u.JoinPath(schema, listFile))
		if err == nil || !answered {
			return items, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func allowed(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return errors.New("no address of a registry: it begins with https:// or http://, and has no password in it")
	}
	return nil
}

func checkRedirect(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	if before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("redirected to an address without encryption")
	}
	return allowed(next.URL)
}

// fetch tells whether the server answered at all, be it with a list or without.
func fetch(ctx context.Context, client *http.Client, u *url.URL) (items []Item, answered bool, err error) {
	defer func() {
		// Where a redirection led to is not told: a password may be in it.
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err
		}
		if err != nil {
			err = fmt.Errorf("read the registry's list %s: %w", u, err)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "docker-kasm")
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, true, fmt.Errorf("the server answered %s", resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxList+1))
	if err != nil {
		return nil, false, err
	}
	items, err = Parse(data, iconsOf(u))
	return items, true, err
}

// iconsOf is where the icons of a list are: in a folder beside it.
func iconsOf(list *url.URL) *url.URL {
	icons := list.JoinPath("..", "icons")
	icons.RawQuery = ""
	return icons
}

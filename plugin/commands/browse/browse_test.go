package browse

import "testing"

func TestOnlyAddressesForBrowsersAndViewersAreOpened(t *testing.T) {
	for address, want := range map[string]bool{
		"http://localhost:1/": true, "https://desks.example.com/a?b=c": true, "vnc://localhost:5901/": true, "rdp://[::1]:3389": true,
		"": false, "localhost:1": false, "--help": false, "file:///etc/passwd": false, "javascript:alert(1)": false,
		"ssh://-oProxyCommand=x/": false, "http://-x/": false, "http:///x": false,
	} {
		if err := Check(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
}

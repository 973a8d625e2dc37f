package push

import (
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
)

// Stored returns the credentials for a registry host from a configuration of the
// docker CLI and its credential helpers; zero when there are none.
func Stored(file *configfile.ConfigFile, host string) (registry.AuthConfig, error) {
	found, err := file.GetAuthConfig(imageref.AuthKey(host))
	if err != nil {
		return registry.AuthConfig{}, err
	}
	return registry.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth,
		ServerAddress: found.ServerAddress, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}, nil
}

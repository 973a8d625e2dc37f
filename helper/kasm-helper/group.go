package main

import (
	"fmt"
	"os/user"
	"strconv"
)

func groupID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("find the group that may use the helper: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

package change

import (
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// checkTrigger judges the instruction that ONBUILD keeps for later builds.
// Engines look only at its name when they commit; what is wrong with the rest
// would come up in somebody's build.
func checkTrigger(node *parser.Node, argument string) error {
	line := "ONBUILD " + argument
	if len(node.Heredocs) > 0 {
		return errHeredoc()
	}
	if node.Next == nil || len(node.Next.Children) != 1 {
		return refuse("ONBUILD", line, "has no instruction to keep")
	}
	trigger := node.Next.Children[0]
	kind := strings.ToUpper(trigger.Value)
	switch {
	case kind == "ONBUILD" || kind == "FROM" || kind == "MAINTAINER":
		return refuse("ONBUILD", line, kind+" is not allowed after ONBUILD")
	case !isInstruction(kind):
		return refuse("ONBUILD", line, shorten(trigger.Value)+" is not an instruction")
	}
	rest := strings.TrimSpace(strings.TrimSpace(trigger.Original)[len(trigger.Value):])
	if rest == "" {
		return refuse("ONBUILD", line, kind+" has no argument")
	}
	if err := checkJSON(kind, line, trigger, rest); err != nil {
		return refuse("ONBUILD", line, fmt.Sprintf("the argument of %s starts with [ and is not a JSON array of strings", kind))
	}
	if _, err := instructions.ParseCommand(trigger); err != nil {
		return refuse("ONBUILD", line, err.Error())
	}
	return nil
}

// Reads compose.yaml in the working directory as Docker Compose does, and prints its services as JSON.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithOsEnv, cli.WithDotEnv)
	if err == nil {
		project, failure := options.LoadProject(context.Background())
		if err = failure; err == nil {
			project, err = project.WithServicesEnvironmentResolved(true)
		}
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(project.Services)
		}
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

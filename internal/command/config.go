package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// configFile is the content of serve's --config: a JSON object whose keys are the names of serve's flags.
// Flags win over the environment and the environment over the file.
type configFile map[string]any

func loadConfig(r io.Reader) (kong.Resolver, error) {
	decoder := json.NewDecoder(r)
	decoder.UseNumber() // 68719476736 must not become 6.8719476736e+10
	var file configFile
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("configuration is not a JSON object: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("configuration goes on after its JSON object")
	}
	for key, value := range file {
		if _, ok := value.(map[string]any); ok || value == nil {
			return nil, fmt.Errorf("configuration key %q needs a string, number or list", key)
		}
	}
	return file, nil
}

// Validate refuses keys that no flag of serve has: a typing mistake must not silently leave a default in force.
func (f configFile) Validate(app *kong.Application) error {
	var known []string
	for _, node := range app.Children {
		if node.Name == "serve" {
			for _, flag := range node.Flags {
				if flag.Name != "config" {
					known = append(known, flag.Name)
				}
			}
		}
	}
	for key := range f {
		if !slices.Contains(known, key) {
			return fmt.Errorf("unknown configuration key %q: known are %s", key, strings.Join(known, ", "))
		}
	}
	return nil
}

// Resolve answers for flags that neither the command line nor the environment set.
func (f configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil
		}
	}
	value := f[flag.Name]
	if number, ok := value.(json.Number); ok {
		return number.String(), nil
	}
	return value, nil
}

// Renders conversations with a Modelfile's TEMPLATE, by Go's own text/template, as Ollama does it.
//
//	go run ollama_template.go < {"template": ..., "system": ..., "conversations": [[{"role", "content"}]]}
//
// Prints JSON: for each conversation {"messages": TEXT, "exchanges": TEXT}, the template's two forms.
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Where the answer is still to come, Ollama's early servers stopped after .Response.
const answerToCome = "\uF8FF"

func main() {
	var asked struct {
		Template      string
		System        string
		Conversations [][]Message
	}
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	parsed, err := template.New("").Option("missingkey=zero").Parse(asked.Template)
	must(err)
	var rendered []map[string]string
	for _, messages := range asked.Conversations {
		if messages[0].Role != "system" && asked.System != "" {
			messages = append([]Message{{"system", asked.System}}, messages...)
		}
		rendered = append(rendered, map[string]string{
			"messages":  whole(parsed, messages),
			"exchanges": exchanges(parsed, messages),
		})
	}
	must(json.NewEncoder(os.Stdout).Encode(rendered))
}

func whole(parsed *template.Template, messages []Message) string {
	var systems []string
	for _, message := range messages {
		if message.Role == "system" {
			systems = append(systems, message.Content)
		}
	}
	return execute(parsed, map[string]any{
		"System": strings.Join(systems, "\n\n"), "Messages": messages, "Response": "",
	})
}

func exchanges(parsed *template.Template, messages []Message) string {
	var text strings.Builder
	exchange := map[string]any{"System": "", "Prompt": "", "Response": ""}
	for _, message := range messages {
		switch message.Role {
		case "system":
			exchange["System"] = message.Content
		case "user":
			exchange["Prompt"] = message.Content
		case "assistant":
			exchange["Response"] = message.Content
			text.WriteString(execute(parsed, exchange))
			exchange = map[string]any{"System": "", "Prompt": "", "Response": ""}
		}
	}
	exchange["Response"] = answerToCome
	before, _, _ := strings.Cut(execute(parsed, exchange), answerToCome)
	return text.String() + before
}

func execute(parsed *template.Template, values map[string]any) string {
	var text strings.Builder
	must(parsed.Execute(&text, values))
	return text.String()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

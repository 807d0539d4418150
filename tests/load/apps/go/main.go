// A server with one dependency, so that its build fetches a module.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/google/uuid"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", uuid.NewString())
		fmt.Fprintln(w, "text of {{version}}")
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}

// A queue that is faster than any bridge: SQS's AWS JSON protocol on loopback, for one queue, without a look at signatures.
//
//	sqs PORT REQUESTS [TLS_PORT CERTIFICATE KEY]    REQUESTS is the load's file (messages.py): each request after its length
//
// POST /fill?n=N puts N messages into the queue, GET /stats tells what became of them.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

var (
	bodies  [][]byte // as JSON strings
	mutex   sync.Mutex
	waiting int // messages that may be received
	next    int // the number of the next one
	seen    = map[string]bool{} // receipts in flight
	deleted int
	hidden  int
	filled  = make(chan struct{})
)

func load(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for len(data) > 0 {
		length := binary.LittleEndian.Uint32(data)
		request := data[4 : 4+length]
		data = data[4+length:]
		_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false) // of the encoders of JSON, Go's alone escapes the & of a URL
		if err := encoder.Encode(string(body)); err != nil {
			panic(err)
		}
		bodies = append(bodies, bytes.TrimSpace(text.Bytes()))
	}
}

func receive(most int, wait time.Duration) []byte {
	until := time.After(wait)
	mutex.Lock()
	for waiting == 0 {
		more := filled
		mutex.Unlock()
		select {
		case <-more:
		case <-until:
			return []byte("{}")
		}
		mutex.Lock()
	}
	defer mutex.Unlock()
	answer := bytes.NewBufferString(`{"Messages":[`)
	for i := 0; i < most && waiting > 0; i++ {
		if i > 0 {
			answer.WriteByte(',')
		}
		id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", next)
		seen[id] = true
		fmt.Fprintf(answer, `{"MessageId":"%s","ReceiptHandle":"%s","MD5OfBody":"%032x","Attributes":{"ApproximateReceiveCount":"1"},"Body":`, id, id, next)
		answer.Write(bodies[next%len(bodies)])
		answer.WriteByte('}')
		waiting--
		next++
	}
	answer.WriteString("]}")
	return answer.Bytes()
}

func entries(done *int, list []struct{ Id, ReceiptHandle string }) []byte {
	mutex.Lock()
	defer mutex.Unlock()
	answer := bytes.NewBufferString(`{"Successful":[`)
	for i, entry := range list {
		if i > 0 {
			answer.WriteByte(',')
		}
		if seen[entry.ReceiptHandle] {
			delete(seen, entry.ReceiptHandle)
			*done++
		}
		fmt.Fprintf(answer, `{"Id":"%s"}`, entry.Id)
	}
	answer.WriteString(`],"Failed":[]}`)
	return answer.Bytes()
}

func call(w http.ResponseWriter, r *http.Request) {
	var members struct {
		MaxNumberOfMessages, WaitTimeSeconds int
		Entries                              []struct{ Id, ReceiptHandle string }
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &members); err != nil {
		http.Error(w, `{"__type":"MalformedInput"}`, 400)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	var answer []byte
	switch r.Header.Get("X-Amz-Target") {
	case "AmazonSQS.ReceiveMessage":
		answer = receive(members.MaxNumberOfMessages, time.Duration(members.WaitTimeSeconds)*time.Second)
	case "AmazonSQS.DeleteMessageBatch":
		answer = entries(&deleted, members.Entries)
	case "AmazonSQS.ChangeMessageVisibilityBatch":
		answer = entries(&hidden, members.Entries)
	default:
		answer = []byte(`{"Attributes":{"ApproximateNumberOfMessages":"0"}}`)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.Write(answer)
}

func main() {
	load(os.Args[2])
	http.HandleFunc("/", call)
	http.HandleFunc("/fill", func(_ http.ResponseWriter, r *http.Request) {
		number, _ := strconv.Atoi(r.URL.Query().Get("n"))
		mutex.Lock()
		waiting += number
		close(filled)
		filled = make(chan struct{})
		mutex.Unlock()
	})
	http.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		fmt.Fprintf(w, `{"waiting":%d,"in_flight":%d,"deleted":%d,"hidden":%d}`, waiting, len(seen), deleted, hidden)
	})
	if len(os.Args) > 3 {
		go func() { panic(http.ListenAndServeTLS("127.0.0.1:"+os.Args[3], os.Args[4], os.Args[5], nil)) }()
	}
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}

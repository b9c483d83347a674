package page

// The languages of the page.
const (
	english = "en"
	german  = "de"
)

// saying is a headline and the sentence that goes with it.
type saying struct {
	Headline, Sentence string
}

// texts is everything the page says in one language.
type texts struct {
	Situations map[Situation]saying
	Other      saying // for a situation not known here
	Ready      saying
	Opens      string // nothing is to be done, the page goes on by itself
	OpensLater string // it does, but that may take long
	Urgent     string // there is a contact
	NotSent    string // what was sent is lost
	SendAgain  string // … and can be sent again now
	Reopen     string // text of the link that opens the address again

	Progress, Step, StepOf string // StepOf has the number and the total
	Since, NextTry, Soon   string
	Vendor, Contact        string
	Lost                   string // the page cannot reach us
	States                 map[string]string
	Phases                 map[string]string
	Steps                  map[string]string

	Errors      map[int]saying
	ClientError saying // 4xx without a text of its own
	ServerError saying // 5xx likewise
	TriesAgain  string // the page does what it asks for
}

// in answers the texts of a language.
func in(language string) *texts {
	if language == german {
		return &inGerman
	}
	return &inEnglish
}

var inEnglish = texts{
	Situations: map[Situation]saying{
		Starting:  {"Starting up", "The application is starting. It opens as soon as everything is ready."},
		Updating:  {"Being updated", "The application is getting new settings or a new version. It opens again as soon as that is done."},
		Migrating: {"Data is being prepared", "The application brings its data into the form that it needs. That can take longer than an ordinary start."},
		Failed:    {"Not available at the moment", "The application is out of order. Those who look after it can see what happened and what has to be done."},
		Standby:   {"Kept in reserve", "This system is kept in reserve and is not in use at the moment. If you expected the application here, please ask for the right address."},
		Unhealthy: {"Interrupted for the moment", "The application has stopped answering. It is being watched, and opens again as soon as it has recovered."},
		Stopping:  {"Shutting down", "The application is being stopped. It opens again when it is next started."},
	},
	Other:      saying{"Not available at the moment", "The application does not answer just now."},
	Ready:      saying{"Ready again", "The application answers."},
	Opens:      "There is nothing you need to do. This page opens it by itself.",
	OpensLater: "As soon as it is available again, this page opens it by itself.",
	Urgent:     "If it cannot wait, please use the contact below.",
	NotSent:    "What you have just sent was not accepted and is not stored. Please go back in your browser and send it again later.",
	SendAgain:  "What you sent before was not accepted. Please go back in your browser and send it again now.",
	Reopen:     "Open this address again",

	Progress: "Progress", Step: "Step %d", StepOf: "Step %d of %d",
	Since: "Since", NextTry: "Next attempt", Soon: "any moment",
	Vendor: "Provided by", Contact: "Contact",
	Lost: "The connection is interrupted; what you see may be out of date. It is being tried again.",
	States: map[string]string{
		"running": "under way", "done": "done", "unchanged": "done", "failed": "failed",
	},
	Phases: map[string]string{
		"boot": "Begin", "prepare-env": "Settings", "prepare-appliance": "Machine", "prepare-ecs": "Application",
		"run": "Start", "cleanup": "Tidying up", "update": "Update", "standby": "Standby", "failed": "Failure",
	},
	Steps: map[string]string{
		"source": "Find the settings", "permissions": "Protect the settings", "schema": "Check the settings", "activate": "Apply the settings",
		"hostname": "Name the machine", "mounts": "Look for the disks", "space": "Look for room", "volumes": "Set up the disks", "data": "Look for the data", "relocate": "Move the data", "layout": "Prepare the folders", "identity": "Recognise the data",
		"vault":       "Put the keys of the documents in place",
		"certificate": "Certificate for secure connections", "client-ca": "Recognise visitors by certificate", "front": "Prepare access",
		"project": "Read the description of the application", "engine": "Wait for the container engine", "name": "Check the name of the application",
		"ports": "Free the network ports", "images": "Fetch the programs",
		"up": "Start the services", "names": "Name the services", "healthy": "Wait until all services answer", "open": "Open access",
		"tell":      "Hand the certificate on",
		"leftovers": "Remove what is no longer needed", "moved": "Remove what was moved",
	},
	Errors: map[int]saying{
		400: {"This request is not understood", "Something is wrong with the address, or with what was sent along."},
		403: {"No access", "You may not open this address. If it asks for a certificate, yours may be missing, expired or revoked."},
		404: {"Nothing here", "There is no page at this address. It may be misspelt, or the page has moved."},
		405: {"Not possible here", "This address does not take requests of this kind."},
		408: {"That took too long", "Your request did not arrive completely in time. Please try again."},
		413: {"Too large", "What you sent is larger than this site accepts."},
		421: {"Wrong address", "This name is not served here. Please check the address."},
		429: {"Too many requests", "Please wait a little, then try again."},
		431: {"Too much sent along", "Your browser sends more with each request than this site accepts. Deleting the cookies of this site usually helps."},
		500: {"Something went wrong", "Your request could not be completed. Please try again in a moment."},
		502: {"No usable answer", "The application answered in a way that cannot be passed on, or broke off. Please try again in a moment."},
		503: {"Not available at the moment", "The application does not answer just now. Please try again in a moment."},
		504: {"No answer in time", "The application took too long to answer. It may be very busy; please try again in a moment."},
	},
	ClientError: saying{"This request cannot be answered", "Something about it does not fit. Please check the address and try again."},
	ServerError: saying{"Something went wrong", "Your request could not be completed. Please try again in a moment."},
	TriesAgain:  "This page does so by itself.",
}

var inGerman = texts{
	Situations: map[Situation]saying{
		Starting:  {"Die Anwendung startet", "Alles wird gerade für Sie vorbereitet. Sobald das getan ist, geht es weiter."},
		Updating:  {"Die Anwendung wird aktualisiert", "Sie bekommt neue Einstellungen oder eine neue Version. Danach ist sie wieder für Sie da."},
		Migrating: {"Daten werden vorbereitet", "Die Anwendung bringt ihre Daten in die Form, die sie braucht. Das kann länger dauern als ein gewöhnlicher Start."},
		Failed:    {"Zurzeit nicht verfügbar", "Die Anwendung ist gestört. Wer sie betreut, kann sehen, was geschehen und was zu tun ist."},
		Standby:   {"Reservesystem", "Dieses System steht in Reserve und wird derzeit nicht verwendet. Wenn Sie die Anwendung hier erwartet haben, fragen Sie bitte nach der richtigen Adresse."},
		Unhealthy: {"Zurzeit unterbrochen", "Die Anwendung antwortet gerade nicht. Sie wird überwacht; sobald sie sich erholt hat, geht es weiter."},
		Stopping:  {"Die Anwendung wird beendet", "Sie ist wieder für Sie da, sobald sie das nächste Mal gestartet wird."},
	},
	Other:      saying{"Zurzeit nicht verfügbar", "Die Anwendung antwortet im Moment nicht."},
	Ready:      saying{"Wieder für Sie da", "Die Anwendung antwortet."},
	Opens:      "Sie müssen nichts tun. Diese Seite öffnet die Anwendung von selbst.",
	OpensLater: "Sobald sie wieder verfügbar ist, öffnet diese Seite sie von selbst.",
	Urgent:     "Wenn es nicht warten kann, wenden Sie sich bitte an den Kontakt unten.",
	NotSent:    "Was Sie eben gesendet haben, wurde nicht angenommen und ist nicht gespeichert. Bitte gehen Sie im Browser zurück und senden Sie es später noch einmal.",
	SendAgain:  "Was Sie vorhin gesendet haben, wurde nicht angenommen. Bitte gehen Sie im Browser zurück und senden Sie es jetzt noch einmal.",
	Reopen:     "Diese Adresse noch einmal öffnen",

	Progress: "Fortschritt", Step: "Schritt %d", StepOf: "Schritt %d von %d",
	Since: "Seit", NextTry: "Nächster Versuch", Soon: "jeden Moment",
	Vendor: "Bereitgestellt von", Contact: "Kontakt",
	Lost: "Die Verbindung ist unterbrochen; diese Angaben sind vielleicht nicht mehr aktuell. Es wird weiter versucht.",
	States: map[string]string{
		"running": "läuft", "done": "fertig", "unchanged": "fertig", "failed": "fehlgeschlagen",
	},
	Phases: map[string]string{
		"boot": "Beginn", "prepare-env": "Einstellungen", "prepare-appliance": "Rechner", "prepare-ecs": "Anwendung",
		"run": "Start", "cleanup": "Aufräumen", "update": "Aktualisierung", "standby": "Reserve", "failed": "Störung",
	},
	Steps: map[string]string{
		"source": "Einstellungen finden", "permissions": "Einstellungen schützen", "schema": "Einstellungen prüfen", "activate": "Einstellungen übernehmen",
		"hostname": "Rechnernamen setzen", "mounts": "Datenträger prüfen", "space": "Speicherplatz prüfen", "volumes": "Datenträger einrichten", "data": "Datenbereich prüfen", "relocate": "Daten verlegen", "layout": "Ordner vorbereiten", "identity": "Daten wiedererkennen",
		"vault":       "Schlüssel der Dokumente bereitlegen",
		"certificate": "Zertifikat für sichere Verbindungen", "client-ca": "Zugang mit Zertifikat vorbereiten", "front": "Zugang vorbereiten",
		"project": "Beschreibung der Anwendung lesen", "engine": "Auf den Containerdienst warten", "name": "Namen der Anwendung prüfen",
		"ports": "Netzwerk-Ports freigeben", "images": "Programme herunterladen",
		"up": "Dienste starten", "names": "Dienste benennen", "healthy": "Warten, bis alle Dienste antworten", "open": "Zugang freigeben",
		"tell":      "Zertifikat weitergeben",
		"leftovers": "Nicht mehr Benötigtes entfernen", "moved": "Verlegtes am alten Ort entfernen",
	},
	Errors: map[int]saying{
		400: {"Diese Anfrage ist unverständlich", "Mit der Adresse oder dem, was mitgeschickt wurde, stimmt etwas nicht."},
		403: {"Kein Zugang", "Sie dürfen diese Adresse nicht öffnen. Falls sie ein Zertifikat verlangt: Ihres fehlt vielleicht, ist abgelaufen oder gesperrt."},
		404: {"Hier ist nichts", "Unter dieser Adresse gibt es keine Seite. Vielleicht ist ein Tippfehler darin, oder die Seite ist umgezogen."},
		405: {"Hier nicht möglich", "Diese Adresse nimmt Anfragen dieser Art nicht an."},
		408: {"Das hat zu lange gedauert", "Ihre Anfrage ist nicht rechtzeitig vollständig angekommen. Bitte versuchen Sie es noch einmal."},
		413: {"Zu groß", "Was Sie gesendet haben, ist größer, als hier angenommen wird."},
		421: {"Falsche Adresse", "Für diesen Namen sind wir nicht zuständig. Bitte prüfen Sie die Adresse."},
		429: {"Zu viele Anfragen", "Bitte warten Sie ein wenig und versuchen Sie es dann noch einmal."},
		431: {"Zu viel mitgeschickt", "Ihr Browser schickt mit jeder Anfrage mehr mit, als hier angenommen wird. Meist hilft es, die Cookies dieser Adresse zu löschen."},
		500: {"Da ist etwas schiefgegangen", "Ihre Anfrage konnte nicht abgeschlossen werden. Bitte versuchen Sie es gleich noch einmal."},
		502: {"Keine brauchbare Antwort", "Die Antwort der Anwendung lässt sich nicht weitergeben oder ist abgebrochen. Bitte versuchen Sie es gleich noch einmal."},
		503: {"Zurzeit nicht verfügbar", "Die Anwendung antwortet im Moment nicht. Bitte versuchen Sie es gleich noch einmal."},
		504: {"Keine Antwort zur rechten Zeit", "Die Anwendung hat zu lange gebraucht. Vielleicht ist gerade viel los; bitte versuchen Sie es gleich noch einmal."},
	},
	ClientError: saying{"Diese Anfrage lässt sich nicht beantworten", "Etwas daran passt nicht. Bitte prüfen Sie die Adresse und versuchen Sie es noch einmal."},
	ServerError: saying{"Da ist etwas schiefgegangen", "Ihre Anfrage konnte nicht abgeschlossen werden. Bitte versuchen Sie es gleich noch einmal."},
	TriesAgain:  "Diese Seite tut das von selbst.",
}

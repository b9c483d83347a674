package flat

import "strings"

// ownName refuses the names by which a document could run something, although all its values are quoted: variables that
// a shell reads as code or as a number to compute, that decide what the next commands are or load, and those whose
// assignment ends a shell.
//
// The list cannot be complete, because any program may take any variable for orders. When keys are asked for by name it
// need not be: then every name begins with the name of a key that the operator has chosen. Where the document chose all
// of a name, what such names end in is refused as well.
func ownName(v Var) (message, todo string) {
	const run = ", and could let a document run commands"
	const todoOwn = "rename the key, or choose the keys by name instead of '.'; --compat and the formats docker and json take any name"
	if reserved(v.Key) {
		return "the flattened name " + shown(v.Key) + " means something of its own to shells or programs" + run, todoOwn
	}
	if ending := telling(v.Key); v.whole && ending != "" {
		return "the flattened name " + shown(v.Key) + " ends in " + ending + " as names do that tell programs what to start" + run, todoOwn
	}
	return "", ""
}

// telling is the end of a name by which programs are told what to start or how, or "". Names below the keys of our own
// documents have none: APPLIANCE_BACKUP_OPTIONS is ours.
func telling(name string) string {
	if strings.HasPrefix(name, "APPLIANCE_") || strings.HasPrefix(name, "ECS_") {
		return ""
	}
	for _, ending := range [...]string{"_PAGER", "_EDITOR", "_BROWSER", "_ASKPASS", "_RSH", "_SSH", "_PROG", "_PROGRAM", "_COMMAND", "_CMD", "_SHELL",
		"_HOOK", "_PRELOAD", "_OPTS", "_OPTIONS", "_ARGS", "_FLAGS", "_STARTUP", "_RC"} {
		if strings.HasSuffix(name, ending) {
			return ending
		}
	}
	return ""
}

func reserved(name string) bool {
	switch name {
	// What is run, and where it is found.
	case "PATH", "SHELL", "HOME", "PWD", "OLDPWD", "CDPATH", "FPATH", "ENV", "ZDOTDIR", "SHLVL":
		return true
	// How words are read, and what is expanded when a prompt, a trace or a message is printed.
	case "_", "IFS", "PS0", "PS1", "PS2", "PS3", "PS4", "PROMPT", "RPROMPT", "PROMPT_COMMAND", "PROMPT_DIRTRIM", "MAIL", "MAILCHECK",
		"MAILPATH", "TIMEFORMAT", "TMOUT", "NULLCMD", "READNULLCMD", "POSIXLY_CORRECT":
		return true
	// What a shell lets nobody set, or computes: RANDOM=a[$(command)] runs it.
	case "UID", "EUID", "GID", "EGID", "PPID", "GROUPS", "SHELLOPTS", "LINENO", "RANDOM", "SRANDOM", "SECONDS", "EPOCHSECONDS",
		"EPOCHREALTIME", "OPTIND", "OPTERR", "OPTARG", "DIRSTACK", "FUNCNAME", "FUNCNEST", "PIPESTATUS", "ERRNO", "REPLY":
		return true
	// What an interactive shell reads, writes and starts.
	case "INPUTRC", "FCEDIT", "FIGNORE", "GLOBIGNORE", "EXECIGNORE", "IGNOREEOF", "COMP_WORDBREAKS", "HISTCMD", "HISTFILE", "HISTSIZE",
		"HISTFILESIZE", "HISTCONTROL", "HISTIGNORE", "HISTTIMEFORMAT":
		return true
	// What libraries and interpreters load.
	case "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "PYTHONPATH", "PYTHONHOME",
		"PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONWARNINGS", "PYTHONINSPECT", "PERLLIB", "PERL5LIB", "PERL5OPT", "PERL5DB",
		"RUBYLIB", "RUBYOPT", "NODE_PATH", "NODE_OPTIONS", "CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "LUA_INIT",
		"LUA_PATH", "LUA_CPATH":
		return true
	// What everyday tools start.
	case "EDITOR", "VISUAL", "PAGER", "MANPAGER", "BROWSER", "LESS", "LESSOPEN", "LESSCLOSE", "LESSEDIT", "LESSKEY", "LESSKEYIN", "LESSKEY_SYSTEM",
		"LESSKEY_CONTENT", "DPKG_PAGER", "PSQL_PAGER", "AWS_PAGER", "BAT_PAGER", "GH_PAGER", "GH_EDITOR", "GH_BROWSER", "PSQL_EDITOR", "KUBE_EDITOR", "SVN_EDITOR",
		"HGEDITOR", "CVSEDITOR", "SYSTEMD_PAGER", "SYSTEMD_PAGERSECURE", "SYSTEMD_EDITOR", "SYSTEMD_LESS", "RSYNC_RSH", "RSYNC_SHELL",
		"RSYNC_CONNECT_PROG", "CVS_RSH", "SVN_SSH", "TAR_OPTIONS", "MAKEFLAGS", "MAKEFILES", "SSH_ASKPASS", "SSH_SK_PROVIDER", "SUDO_ASKPASS",
		"SUDO_EDITOR", "APT_CONFIG", "WGETRC", "CURL_HOME", "VIMINIT", "EXINIT":
		return true
	}
	for _, family := range [...]string{"BASH", "LD_", "GIT_"} { // BASH_ENV, LD_PRELOAD, GIT_SSH_COMMAND
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

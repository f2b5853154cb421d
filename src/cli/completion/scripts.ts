export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/**
 * A shell's script: it asks `fallthru __complete -- WORD...`, whose first line is the answer's kind, where a command
 * begins, and what of the current word stays; each further line is a word, a tab and what it is for.
 */
export function completionScript(shell: Shell): string {
  return { bash, zsh, fish }[shell];
}

const bash = String.raw`# bash completion for fallthru
_fallthru() {
  # COMP_WORDBREAKS takes @fix and --bind=/srv apart: join what no blank stands between, up to the cursor.
  local line=\${COMP_LINE:0:COMP_POINT} i part glued
  local -a words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    part=\${COMP_WORDS[i]}
    glued=1
    while [[ $line == [[:blank:]]* ]]; do line=\${line:1} glued=; done
    part=\${line:0:\${#part}}
    line=\${line:\${#part}}
    if [[ $glued && \${#words[@]} -gt 0 ]]; then words[-1]+=$part; else words+=("$part"); fi
  done
  local current=\${words[-1]} kind from prefix word
  local -a answer
  mapfile -t answer < <("\${words[0]/#\~/$HOME}" __complete -- "\${words[@]:1}" 2>/dev/null)
  IFS=$'\t' read -r kind from prefix <<<"\${answer[0]}"
  local value=\${current#"$prefix"}
  COMPREPLY=()
  case $kind in
    words) for word in "\${answer[@]:1}"; do COMPREPLY+=("\${word%%$'\t'*}"); done ;;
    file | directory)
      compopt -o filenames
      local flag=-f
      [[ $kind == directory ]] && flag=-d
      mapfile -t COMPREPLY < <(compgen $flag -- "$value")
      return ;;
    user) mapfile -t COMPREPLY < <(compgen -u -- "$value") ;;
    command)
      if declare -F _command_offset >/dev/null; then
        for ((i = 0; i < COMP_CWORD; i++)); do [[ \${COMP_WORDS[i]} == -- ]] && break; done
        _command_offset $((i + 1))
      elif ((\${#words[@]} == from + 2)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
      else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      fi
      return ;;
  esac
  # readline replaces only what follows the last of its break characters, and @ itself where that is it.
  local kept=
  for ((i = \${#current}; i > 0; i--)); do
    if [[ $COMP_WORDBREAKS == *"\${current:i-1:1}"* ]]; then
      [[ \${current:i-1:1} == @ ]] && ((i--))
      kept=\${current:0:i}
      break
    fi
  done
  for i in "\${!COMPREPLY[@]}"; do
    word=$prefix\${COMPREPLY[i]}
    COMPREPLY[i]=\${word#"$kept"}
  done
}
complete -F _fallthru fallthru
`.replaceAll("\\$", "$");

const zsh = String.raw`#compdef fallthru
# zsh completion for fallthru
_fallthru() {
  local -a answer header candidates
  local line
  answer=("\${(@f)$(_call_program fallthru \${(q)words[1]} __complete -- "\${(q@)words[2,CURRENT-1]}" "\${(q)PREFIX}" 2>/dev/null)}")
  header=("\${(@ps:\t:)answer[1]}")
  [[ -n $header[3] ]] && compset -P "\${(b)header[3]}"
  case $header[1] in
    words)
      for line in "\${(@)answer[2,-1]}"; do
        candidates+=("\${\${line%%$'\t'*}//:/\\:}:\${line#*$'\t'}")
      done
      _describe -t words fallthru candidates -o nosort ;;
    file) _files ;;
    directory) _files -/ ;;
    user) _users ;;
    command)
      shift $((header[2] + 1)) words
      ((CURRENT -= header[2] + 1))
      _normal ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _fallthru "$@"; else compdef _fallthru fallthru; fi
`.replaceAll("\\$", "$");

const fish = String.raw`# fish completion for fallthru
function __fallthru_answer
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
    set -l header (string split \t -- $answer[1])
    set -l prefix $header[3]
    set -l value (string sub -s (math (string length -- "$prefix") + 1) -- "$current")
    switch "$header[1]"
        case words
            for line in $answer[2..-1]
                echo $prefix$line
            end
        case file
            __fish_complete_path "$value" | string replace -r '^' -- "$prefix"
        case directory
            __fish_complete_directories "$value" | string replace -r '^' -- "$prefix"
        case user
            __fish_complete_users | string replace -r '^' -- "$prefix"
        case command
            set -l rest $words[(math $header[2] + 2)..-1]
            complete -C (string join -- ' ' (string escape -- $rest) "$current")
    end
end
complete -c fallthru -e
complete -c fallthru -f -k -a '(__fallthru_answer)'
`;

/** strsignal(3) in the C locale, for signals 1 to 31. */
const texts =
  "Hangup,Interrupt,Quit,Illegal instruction,Trace/breakpoint trap,Aborted,Bus error,Floating point exception,Killed," +
  "User defined signal 1,Segmentation fault,User defined signal 2,Broken pipe,Alarm clock,Terminated,Stack fault," +
  "Child exited,Continued,Stopped (signal),Stopped,Stopped (tty input),Stopped (tty output),Urgent I/O condition," +
  "CPU time limit exceeded,File size limit exceeded,Virtual timer expired,Profiling timer expired,Window changed," +
  "I/O possible,Power failure,Bad system call";

export function signalText(signal: number): string {
  // glibc keeps 32 and 33 for itself.
  return (
    texts.split(",")[signal - 1] ?? (signal >= 34 ? `Real-time signal ${signal - 34}` : `Unknown signal ${signal}`)
  );
}

"""The commands: `flask guard ...` inside an application, `flask-guard` outside of one."""

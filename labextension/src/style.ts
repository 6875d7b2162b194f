import text from '../style/panel.css';

const ID = 'lpmx-jupyter-style';

if (!document.getElementById(ID)) {
  const element = document.createElement('style');
  element.id = ID;
  element.textContent = text;
  document.head.appendChild(element);
}
